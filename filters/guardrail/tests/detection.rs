//! What each detector finds, and what only looks like it.

use super::super::detect::{Found, scan};
use super::super::kind::{Kind, Kinds};

fn found(text: &str) -> Vec<(Kind, &str)> {
    let mut kinds = Kinds::default();
    for kind in Kind::ALL {
        kinds.insert(kind);
    }
    let mut found: Vec<Found> = Vec::new();
    scan(text, 0, kinds, &mut found);
    found.into_iter().map(|found| (found.kind, &text[found.start..found.end])).collect()
}

/// Each text holds the one value between `«` and `»`.
fn finds(kind: Kind, texts: &[&str]) {
    for marked in texts {
        let text = marked.replace(['«', '»'], "");
        let value = marked.split(['«', '»']).nth(1).unwrap();
        assert_eq!(found(&text), [(kind, value)], "{marked}");
    }
}

fn finds_nothing(texts: &[&str]) {
    for text in texts {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn cards_are_found_by_issuer_length_and_check_digit() {
    finds(
        Kind::Card,
        &[
            "«4111111111111111»",
            "my card is «4111 1111 1111 1111», exp 12/27",
            "«5555-5555-5555-4444».",
            "«378282246310005»",
            "amex «3782 822463 10005»!",
            "«6011111111111117»",
            "«30569309025904»",
            "(«3530111333300000»)",
            "«2223003122003222»",
            "«6200000000000005»",
            "4111,«4111111111111111»,12/27,123",
            "«4111 1111 1111 1111» 123",
            "old Visa card: «4222222222222»",
            "{\"pan\":\"«4000056655665556»\"}",
            "カード番号«4111111111111111»です",
        ],
    );
    finds_nothing(&[
        "4111111111111112",
        "4111 1111 1111 1112",
        // No issuer.
        "1234567812345670",
        "9999999999999995",
        // The check digit is right, the length is nobody's.
        "41111111111111111",
        "411111111111116",
        // A part of something longer.
        "x4111111111111111",
        "4111111111111111_1",
        "12-4111111111111111",
        "0.4111111111111111",
        "41111111111111110000",
        // An EAN; a time.
        "4006381333931",
        "1700000000000",
        "20240131123059",
        "4111 11111111 1111",
    ]);
}

#[test]
fn ibans_are_found_by_length_and_check_digits() {
    finds(
        Kind::Iban,
        &[
            "«DE89370400440532013000»",
            "IBAN: «GB29 NWBK 6016 1331 9268 19», thanks",
            "«FR1420041010050500013M02606»",
            "«NL91ABNA0417164300».",
            "«NO9386011117947»",
            "«MT84 MALT 0110 0001 2345 MTLC AST0 01S»",
            "«DE89-3704-0044-0532-0130-00»",
        ],
    );
    finds_nothing(&[
        "DE89370400440532013001",
        "DE8937040044053201300",
        "DE893704004405320130000",
        "GB29 NWBK 6016 1331 9268 18",
        "ZZ89370400440532013000",
        "XDE89370400440532013000",
        "DE89 37040 0440 5320 1300 0",
    ]);
}

#[test]
fn national_ids_are_found_by_their_own_rules() {
    finds(
        Kind::NationalId,
        &[
            "«536-22-1234»",
            "SSN «536221234»",
            "social security number: «536 22 1234»",
            "Steuer-ID «86095742719»",
            "IdNr. «47 036 892 816»",
            "«1 84 12 76 451 089 46»",
            "«269054958815780»",
            "«1 85 05 2A 004 003 79»",
            "NI «AB123456C».",
            "«AB 12 34 56 C»",
            "NHS number «943 476 5919»",
            "DNI «12345678Z»",
            "«12345678-Z»",
            "NIE: «X1234567L»",
            "«RSSMRA85T10A562S»",
            "BSN «111222333»",
            "PESEL: «44051401359»",
            "Aadhaar «2341 2341 2346»",
            "CPF «529.982.247-25»",
            "cpf: «52998224725»",
            "SIN «130 692 544»",
        ],
    );
    finds_nothing(&[
        // Never given.
        "000-22-1234",
        "666-22-1234",
        "901-22-1234",
        "536-00-1234",
        "536-22-0000",
        "078-05-1120",
        // Wrong check digits.
        "Steuer-ID 86095742718",
        "tax id 12345678901",
        "1 84 12 76 451 089 47",
        "NHS number 943 476 5918",
        "12345678A",
        "X1234567A",
        "RSSMRA85T10A562T",
        "BSN 111222334",
        "PESEL 44051401358",
        "Aadhaar 2341 2341 2347",
        "529.982.247-26",
        "cpf 11111111111",
        // Prefixes that are not given.
        "GB123456C",
        "QQ123456C",
        // A part of something longer.
        "XAB 12 34 56 C",
        "AB 12 34 56 CX",
        // Nobody says what it is.
        "order 111222333",
        "44051401359",
        "2341 2341 2346",
        "52998224725",
        "536221234",
    ]);
}

#[test]
fn emails_are_found_and_what_only_has_an_at_sign_is_not() {
    finds(
        Kind::Email,
        &[
            "«john.doe@example.com»",
            "mail <«john+tag@sub.example.co.uk»>.",
            "mailto:«a@b.io»?subject=x",
            "«o'neil@example.org», hi",
            "«jörg@münchen.de»",
            "联系«li@example.cn»。",
            "«x_y-z%w@xn--mnchen-3ya.de»",
            "\"«john.doe@example.com»\"",
            "write to «a@b.com». Then",
        ],
    );
    finds_nothing(&[
        "user@localhost",
        "@types/node@18.0.0",
        "@property",
        "icon@2x.png",
        "git@github.com:org/repo.git",
        "a@b",
        "a@.com",
        "x.@example.com",
        "50% @ 3.5",
        "pkg@1.2.3-beta.4",
    ]);
}

#[test]
fn phones_are_found_in_the_forms_that_people_write() {
    finds(
        Kind::Phone,
        &[
            "«+14155550132»",
            "call «+49 30 1234567»!",
            "«+44 (0)20 7946 0958»",
            "«+33 1 23 45 67 89»",
            "«(212) 555-0187»",
            "«212-555-0187»",
            "«415.555.0132»",
            "«1-800-555-0199».",
            "Telefon «0171 1234567»",
            "«030/12345678»",
            "«020 7946 0958»",
            "«01 23 45 67 89»",
            "«(030) 12345678»",
            "my phone is «5551234567»",
            "phone: «212 555 0187»",
            "mobile «98765 43210»",
            "{\"homePhone\":\"«5551234567»\"}",
            "Telefonnummer: «2345678»",
        ],
    );
    finds_nothing(&[
        "order 5551234567",
        "1700000000",
        "1700000000000",
        "2024-01-31",
        "31.01.2024",
        "2024-01-31 12:30:59",
        "1.2.3",
        "v10.15.7",
        "123-456-7890",
        "#212-555-0187",
        "212-555-01877",
        "a+14155550132",
        "1 + 14155550",
        "+1 2",
        "211-155-0187",
        "00 11 22 33 44",
        "01 02 03 04 05 06",
        "12 345 678 901",
        "$212 555 0187",
        "550e8400-e29b-41d4-a716-446655440000",
        "phone model 2024-01-31",
        "3.14159265358979",
        "ISBN 978-3-16-148410-0",
        "10.1000/182",
        "call me at 10:30",
        "telling 5551234567",
        "the telescope 5551234567",
        "tel 1.2345678",
        "+12345-03-04 05:06",
        "+1441497364.649",
        "02 03 01 00 01",
    ]);
}

#[test]
fn addresses_of_machines_are_found_and_versions_are_not() {
    finds(
        Kind::Ip,
        &[
            "«192.168.1.10»",
            "http://«10.0.0.1»:8080/x",
            "«8.8.8.8».",
            "«10.0.0.0»/8",
            "«2001:db8::ff00:42:8329»",
            "«fe80::1»%eth0",
            "[«2001:0db8:0000:0000:0000:ff00:0042:8329»]:443",
            "listen on «::1» only",
            "«::ffff:192.0.2.128»",
        ],
    );
    finds(Kind::Mac, &["«00:1A:2b:3c:4D:5e»", "mac «aa:bb:cc:dd:ee:ff»,", "«00-1a-2b-3c-4d-5e»"]);
    finds_nothing(&[
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3",
        "version 1.2.3.4",
        "v1.2.3.4",
        "Chrome/120.0.0.0",
        "01.02.03.04",
        "12:34:56",
        "std::dead::beef1",
        "A::B",
        "a[1::2]",
        "a[::1]",
        "a::b1",
        "12:34:56:78",
        "aa:bb:cc:dd:ee:ff:00",
        "00-11-22-33-44-55",
        "{\"a\":1}",
    ]);
}

#[test]
fn secrets_are_found_by_their_prefixes() {
    let body = |length: usize| "aB3dE6gH9j".repeat(length.div_ceil(10))[..length].to_owned();
    let keys = [
        format!("sk-{}", body(48)),
        format!("sk-proj-{}-{}", body(30), body(20)),
        format!("sk-ant-api03-{}-{}AA", body(50), body(40)),
        format!("sk-or-v1-{}", body(64)),
        format!("AIza{}", body(35)),
        format!("gsk_{}", body(52)),
        format!("AKIA{}", body(16).to_uppercase()),
        format!("ghp_{}", body(36)),
        format!("github_pat_{}_{}", body(22), body(59)),
        format!("xoxb-{}-{}", body(12), body(24)),
        format!("tg-{}", body(43)),
        format!("sk_live_{}", body(24)),
        format!("eyJ{}.eyJ{}.{}", body(33), body(80), body(43)),
    ];
    for key in &keys {
        finds(
            Kind::Secret,
            &[
                &format!("key=«{key}»"),
                &format!("\"«{key}»\","),
                &format!("use «{key}»."),
                &format!("«{key}»"),
            ],
        );
    }
    let aws = body(40);
    finds(
        Kind::Secret,
        &[&format!("aws_secret_access_key = «{aws}»"), &format!("\"SecretAccessKey\": \"«{aws}»\"")],
    );
    let lines = format!("{}\n", body(64)).repeat(20);
    let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{lines}-----END RSA PRIVATE KEY-----");
    finds(Kind::Secret, &[&format!("«{pem}»"), &format!("here:\n«{pem}»\nthat was it")]);
    finds_nothing(&[
        "sk-short",
        "task-force-of-the-year-2024-in-london",
        "sk-fading-circle-container-of-12-parts",
        "AKIAabcdefghijklmnop",
        "AKIA1234",
        "gsk_short",
        "eyJhbGciOiJIUzI1NiJ9",
        "begin with -----BEGIN PRIVATE KEY----- and then.",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "tg-123",
    ]);
}
