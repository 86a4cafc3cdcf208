//! Budgets: reserved, settled, told of, and never overspent, not by a crowd and not by a stream that goes on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::support::dialect::ALL;
use crate::support::policy::{
    DOLLAR_A_TOKEN, MODELS, ask, ask_for, begin, chat_answer, events, eventually_events, exact_provider, key,
    post, provider, request,
};
use crate::support::provider::{chunk, head};
use crate::support::{Answer, Dialect, Gateway, Provider, Reply, eventually};

fn start(provider: &Provider, conf: &str) -> Gateway {
    Gateway::start(&format!(
        "auth = 'keys'\n{conf}\n{DOLLAR_A_TOKEN}{}{ALL}{MODELS}",
        provider.table("openai")
    ))
}

fn budget(scope: &str, amount: &str) -> String {
    format!("[[budgets]]\nname = 'money'\nscope = [{scope}]\namount = '{amount} USD'\nperiod = 'month'\n")
}

fn check_out(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.header("x-tollgate-rule"), Some("money"));
}

fn cost(row: &Value) -> Decimal {
    row["cost"].as_str().map_or(Decimal::ZERO, |cost| cost.parse().unwrap())
}

fn total(rows: &[Value]) -> Decimal {
    rows.iter().map(cost).sum()
}

/// The rows of so many exchanges.
fn rows(gateway: &Gateway, count: usize) -> Vec<Value> {
    eventually(&format!("{count} rows"), || Some(gateway.rows()).filter(|rows| rows.len() >= count))
}

/// Asks for just as much as the caller says, until the settlement of what went before has come.
fn eventually_passes(gateway: &Gateway, who: &str, tokens: u64) {
    eventually(&format!("{tokens} dollars to be left"), || {
        (ask_for(gateway, who, tokens).status == 200).then_some(())
    });
}

#[test]
fn a_budget_that_is_used_up_refuses_in_each_dialect_and_nothing_goes_up() {
    let provider = provider();
    let gateway = start(&provider, &format!("{}{}", key("ann", ""), budget("'key'", "7")));
    // Seven tokens come, and seven are asked for.
    eventually_passes(&gateway, "ann", 7);
    gateway.idle();
    for dialect in crate::support::DIALECTS {
        let refused = ask(&gateway, "ann", dialect, "m-1", &[]);
        check_out(&refused);
        assert_eq!(
            refused.header("x-should-retry"),
            Some("false"),
            "{dialect:?}: the SDKs are not to try again"
        );
        let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!(seconds <= 31 * 24 * 3600, "until the month is over: {seconds}");
        let error = &refused.json()["error"];
        match dialect {
            Dialect::Chat | Dialect::Responses => assert_eq!(error["code"], "insufficient_quota"),
            Dialect::Messages => assert_eq!(error["type"], "rate_limit_error"),
            Dialect::Gemini => assert_eq!(error["status"], "RESOURCE_EXHAUSTED"),
        }
    }
    assert_eq!(provider.seen().len(), 1);
    assert_eq!(total(&rows(&gateway, 1)), Decimal::from(7));
    assert_eq!(eventually_events(&gateway, "budget_exhausted", 4)[0]["rule"], "money");
}

#[test]
fn money_is_reserved_while_a_request_runs_and_settled_with_what_it_cost() {
    let (say, said) = std::sync::mpsc::channel::<u64>();
    let said = Mutex::new(said);
    let provider =
        Provider::start(move |_| Reply::json(200, &chat_answer(0, said.lock().unwrap().recv().unwrap())));
    let gateway = start(&provider, &format!("{}{}", key("ann", ""), budget("'org'", "100")));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ask_for(&gateway, "ann", 60));
        eventually("the provider to be asked", || (provider.seen().len() == 1).then_some(()));
        check_out(&ask_for(&gateway, "ann", 41));
        say.send(10).unwrap();
        assert_eq!(first.join().unwrap().status, 200);
    });
    gateway.idle();
    check_out(&ask_for(&gateway, "ann", 91));
    say.send(90).unwrap();
    assert_eq!(ask_for(&gateway, "ann", 90).status, 200, "what was not used is there again, to the dollar");
    gateway.idle();
    check_out(&ask_for(&gateway, "ann", 1));
    assert_eq!(total(&rows(&gateway, 2)), Decimal::from(100));
}

#[test]
fn each_threshold_of_a_budget_is_told_once() {
    let provider = exact_provider();
    let gateway = start(&provider, &format!("{}{}", key("ann", ""), budget("'key'", "20")));
    let mut told = Vec::new();
    for (tokens, percent) in
        [(9, None), (1, Some("50 %")), (5, None), (1, Some("80 %")), (3, None), (1, Some("100 %"))]
    {
        assert_eq!(ask_for(&gateway, "ann", tokens).status, 200);
        gateway.idle();
        told.extend(percent);
        let events = eventually_events(&gateway, "budget_threshold", told.len());
        let said: Vec<_> = events.iter().map(|event| event["detail"].as_str().unwrap()).collect();
        assert_eq!(said.len(), told.len(), "{said:?}");
        assert!(said.iter().zip(&told).all(|(said, told)| said.starts_with(told)), "{said:?}");
        assert!(events.iter().all(|event| event["rule"] == "money" && event["org"] == "default"));
    }
    check_out(&ask_for(&gateway, "ann", 1));
    assert_eq!(events(&gateway, "budget_threshold").len(), 3);
}

#[test]
fn what_has_no_price_is_refused_under_a_budget_unless_it_is_said_to_be_free() {
    let provider = provider();
    for free in [false, true] {
        let more = if free { "unpriced = 'free'\n" } else { "" };
        let gateway = start(&provider, &format!("{}{}{more}", key("ann", ""), budget("'key'", "9")));
        let asked = provider.seen().len();
        let answer = ask(&gateway, "ann", Dialect::Chat, "m-unknown", &[]);
        if free {
            assert_eq!(answer.status, 200);
            continue;
        }
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "price_unknown");
        assert_eq!(answer.header("x-tollgate-rule"), Some("money"));
        assert_eq!(provider.seen().len(), asked);
    }
}

#[test]
fn a_target_without_a_price_is_passed_over_under_a_budget() {
    let (free, priced) = (provider(), provider());
    let gateway = start(
        &priced,
        &format!(
            "{}{}[models.both]\ntargets = [{{ provider = 'free', model = 'm-x' }}, {{ provider = 'openai', model = 'm-1' }}]\n{}",
            key("ann", ""),
            budget("'key'", "50"),
            free.table("free")
        ),
    );
    assert_eq!(
        ask(&gateway, "ann", Dialect::Chat, "both", &[]).header("x-tollgate-provider"),
        Some("openai")
    );
    assert_eq!(free.seen().len(), 0);
}

#[test]
fn an_organisation_pays_its_own_prices() {
    let provider = exact_provider();
    let own = "[orgs.acme.prices.openai.'m-1']\ninput = '0'\noutput = '3000000'\n";
    let keys = format!("{}{}", key("ann", "org = 'acme'"), key("zoe", "org = 'zulu'"));
    let gateway = start(&provider, &format!("{keys}{own}{}", budget("'org'", "30")));
    let mut asked = 0;
    let mut check = |who: &str, tokens: u64, dollars: i64| {
        let answer = ask_for(&gateway, who, tokens);
        assert_eq!(answer.status, 200, "{who}: {}", answer.text());
        asked += 1;
        assert_eq!(cost(&gateway.rows_of(answer.id(), 1)[0]), Decimal::from(dollars), "{who}");
        gateway.idle();
    };
    check("ann", 9, 27);
    check("zoe", 9, 9);
    check_out(&ask_for(&gateway, "ann", 2));
    check("ann", 1, 3);
    check("zoe", 21, 21);
    check_out(&ask_for(&gateway, "ann", 1));
    check_out(&ask_for(&gateway, "zoe", 1));
}

#[test]
fn a_cost_that_the_provider_reports_wins_over_the_list() {
    let provider = Provider::start(|_| {
        Reply::json(
            200,
            r#"{"model":"m-1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0.123456789012}}"#,
        )
    });
    let prices = "[prices.openrouter.'m-1']\ninput = '0'\noutput = '10000'\n";
    let gateway = Gateway::start(&format!(
        "auth = 'keys'\n{}{}{prices}{}",
        key("ann", ""),
        budget("'key'", "0.25"),
        provider.table("openrouter")
    ));
    let ask = || ask(&gateway, "ann", Dialect::Chat, "openrouter/m-1", &[]);
    for _ in 0..2 {
        let answer = ask();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(gateway.rows_of(answer.id(), 1)[0]["cost"], json!("0.123456789012"));
        gateway.idle();
    }
    check_out(&ask());
    assert_eq!(total(&rows(&gateway, 2)).to_string(), "0.246913578024");
}

/// A stream of `pieces` with forty bytes of text each, ten tokens, that says nothing of its usage.
fn endless(pieces: usize) -> Reply {
    let piece = |text: &str| {
        chunk(
            format!("data: {{\"model\":\"m-1\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
                .as_bytes(),
        )
    };
    let begin = head(200, &[("content-type", "text/event-stream")], "transfer-encoding: chunked\r\n");
    let text = "0123456789".repeat(4);
    let pieces = std::iter::once(begin).chain(std::iter::repeat_n(piece(&text), pieces)).collect();
    Reply::Paced(pieces, Duration::from_millis(1))
}

#[test]
fn a_stream_beyond_its_estimate_gets_more_while_there_is_money_and_is_cut_when_there_is_none() {
    let provider = Provider::start(|_| endless(2000));
    let gateway = start(&provider, &format!("{}{}", key("ann", ""), budget("'key'", "3000")));
    let (mut client, mut answer) = begin(&gateway, "ann", 100);
    assert_eq!(answer.status, 200);
    client.body(&mut answer).unwrap();
    gateway.idle();
    eventually("the provider's connection to be closed", || (provider.open() == 0).then_some(()));
    let row = &gateway.rows_of(answer.id(), 1)[0];
    // 100 were reserved, then 1024 at a time: a third step would have been too much.
    let spent = cost(row);
    assert!(spent > Decimal::from(1500) && spent <= Decimal::from(2148), "{row}");
    assert!(spent <= Decimal::from(3000));
    assert_eq!(eventually_events(&gateway, "budget_exhausted", 1)[0]["rule"], "money");
    let seen = answer.text().matches("0123456789").count() / 4;
    assert!((150..=215).contains(&seen), "the client has what was paid for: {seen} pieces");
    // What is left can be spent, to the dollar.
    let left = Decimal::from(3000) - spent;
    check_out(&ask_for(&gateway, "ann", u64::try_from(left).unwrap() + 1));
}

#[test]
fn a_stream_beyond_its_estimate_goes_on_where_there_is_money() {
    let provider = Provider::start(|_| endless(300));
    let gateway = start(&provider, &format!("{}{}", key("ann", ""), budget("'key'", "9000")));
    let (mut client, mut answer) = begin(&gateway, "ann", 100);
    // The provider ends without a last chunk; what counts is that all of it came.
    let mut text = 0;
    while let Ok(Some(piece)) = client.chunk() {
        answer.body.extend_from_slice(&piece);
        text = answer.text().matches("0123456789").count() / 4;
        if text == 300 {
            break;
        }
    }
    assert_eq!(text, 300);
    assert_eq!(events(&gateway, "budget_exhausted").len(), 0);
}

#[test]
fn fifty_streams_at_once_spend_no_more_than_there_is() {
    let _alone = crate::support::alone();
    // Every stream uses what it asked for, or less, or more.
    let nth = AtomicUsize::new(0);
    let provider = Provider::start(move |seen| {
        let asked = usize::try_from(seen.json()["max_tokens"].as_u64().unwrap()).unwrap();
        let used = match nth.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => asked / 2,
            1 => asked,
            _ => 1,
        };
        let text = "abcd".repeat(used);
        let event =
            format!("data: {{\"model\":\"m-1\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        let usage = format!(
            "data: {{\"model\":\"m-1\",\"choices\":[],\"usage\":{{\"prompt_tokens\":0,\"completion_tokens\":{used},\"total_tokens\":{used}}}}}\n\ndata: [DONE]\n\n"
        );
        Reply::sse(&(event + &usage))
    });
    let gateway = start(&provider, &format!("{}{}", key("ann", ""), budget("'org'", "1000")));
    let passed: usize = std::thread::scope(|scope| {
        let ask = |_| {
            scope.spawn(|| {
                let mut passed = 0;
                for round in 0..6 {
                    let (mut client, mut answer) = begin(&gateway, "ann", 10 + round * 7);
                    client.body(&mut answer).unwrap();
                    passed += usize::from(answer.status == 200);
                }
                passed
            })
        };
        let clients: Vec<_> = (0..50).map(ask).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let rows = rows(&gateway, passed);
    assert!(rows.len() < 300, "some were refused, and cost nothing");
    let spent = total(&rows);
    assert!(spent <= Decimal::from(1000), "{spent}");
    gateway.idle();
    // The counter and the ledger agree to the dollar: just the rest can be spent.
    let left = u64::try_from(Decimal::from(1000) - spent).unwrap();
    check_out(&ask_for(&gateway, "ann", left + 1));
    if left > 0 {
        assert_eq!(ask_for(&gateway, "ann", left).status, 200, "{left} are left");
    }
}

#[test]
fn what_failed_attempts_cost_is_counted_once() {
    // It takes the request and says nothing: its input is booked.
    let broken = Provider::start(|_| Reply::Close);
    let second = exact_provider();
    let prices = "[prices.first.'m-9']\ninput = '1000000'\noutput = '0'\n";
    let alias = "[models.both]\ntargets = [{ provider = 'first', model = 'm-9' }, { provider = 'openai', model = 'm-1' }]\n";
    let gateway = start(
        &second,
        &format!("{}{}{prices}{alias}{}", key("ann", ""), budget("'key'", "100"), broken.table("first")),
    );
    let body = r#"{"model":"both","max_tokens":30,"messages":[]}"#;
    let answer = post(&gateway, "ann", "/v1/chat/completions", body, &[]);
    assert_eq!((answer.status, answer.header("x-tollgate-attempts")), (200, Some("2")));
    let rows = gateway.rows_of(answer.id(), 2);
    let spent = total(&rows);
    assert!(cost(&rows[0]) > Decimal::ZERO && cost(&rows[1]) == Decimal::from(30), "{rows:?}");
    gateway.idle();
    let left = u64::try_from(Decimal::from(100) - spent).unwrap();
    check_out(&ask_for(&gateway, "ann", left + 1));
    assert_eq!(ask_for(&gateway, "ann", left).status, 200, "{left} are left");
}

#[test]
fn one_organisations_spending_is_not_anothers() {
    let provider = exact_provider();
    let keys =
        format!("{}{}", key("ann", "org = 'acme'\nuser = 'u'"), key("zoe", "org = 'zulu'\nuser = 'u'"));
    let gateway = start(&provider, &format!("{keys}{}", budget("'user'", "10")));
    assert_eq!(ask_for(&gateway, "ann", 10).status, 200);
    gateway.idle();
    check_out(&ask_for(&gateway, "ann", 1));
    assert_eq!(ask_for(&gateway, "zoe", 10).status, 200);
    let rows = rows(&gateway, 2);
    assert!(rows.iter().all(|row| cost(row) == Decimal::from(10)));
}

#[test]
fn what_a_client_writes_beside_its_request_does_not_make_it_free() {
    let provider = exact_provider();
    let gateway = start(&provider, &format!("{}{}", key("ann", ""), budget("'key'", "100")));
    let body = r#"{"model":"m-1","max_tokens":7,"messages":[],"prompt":"x"}"#;
    let foreign = [("anthropic-version", "2023-06-01")];
    for (path, headers) in [
        ("/v1/chat/completions?x=/batches", &[][..]),
        ("/openai/v1/completions", &foreign),
        ("/openai/completions", &[]),
        ("/openai/v1/chat/completions", &[("x-http-method-override", "GET")]),
    ] {
        let answer = post(&gateway, "ann", path, body, headers);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let row = &gateway.rows_of(answer.id(), 1)[0];
        assert_eq!((cost(row), &row["measured"]), (Decimal::from(7), &json!(true)), "{path}: {row}");
        assert_eq!(provider.last().header("x-http-method-override"), None);
    }
    let later = r#"{"model":"m-1","background":true,"input":"x"}"#;
    let refused = post(&gateway, "ann", "/v1/responses", later, &[]);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("price_unknown")));
    // Looking something up costs nothing, and is not refused for want of a price.
    assert_eq!(request(&gateway, "ann", "GET", "/openai/v1/files", "", &[]).status, 200);
}

#[test]
fn a_restart_is_no_way_around_a_budget_or_a_limit() {
    let provider = exact_provider();
    let limit = "[[limits]]\nname = 'day'\nscope = ['key']\nmatch = 'ann'\noutput_tokens = '10/day'\n";
    let conf = format!(
        "auth = 'keys'\n{}{}{}match = 'bob'\n{limit}{DOLLAR_A_TOKEN}{}{ALL}{MODELS}",
        key("ann", ""),
        key("bob", ""),
        budget("'key'", "20"),
        provider.table("openai")
    );
    let gateway = Gateway::start(&conf);
    assert_eq!(ask_for(&gateway, "ann", 8).status, 200);
    assert_eq!(ask_for(&gateway, "bob", 15).status, 200);
    assert_eq!(rows(&gateway, 2).len(), 2);
    let again = Gateway::start_in(gateway.kill(), &conf, &[]);
    let refused = ask_for(&again, "ann", 3);
    assert_eq!((refused.status, refused.header("x-tollgate-rule")), (429, Some("day")));
    check_out(&ask_for(&again, "bob", 6));
    assert_eq!(ask_for(&again, "bob", 5).status, 200, "what is left can be spent");
}
