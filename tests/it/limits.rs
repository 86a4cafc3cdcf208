//! Limits on requests, tokens and places: what is refused and how, what it costs, and what comes back.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use serde_json::json;

use crate::support::dialect::ALL;
use crate::support::policy::{
    MODELS, ask, ask_for, begin, chat_answer, dialect_of, eventually_events, exact_provider, key, post,
    provider, stream_head,
};
use crate::support::provider::chunk;
use crate::support::{Answer, DIALECTS, Dialect, Gateway, Provider, Reply, eventually};

fn start(provider: &Provider, conf: &str) -> Gateway {
    Gateway::start(&format!("auth = 'keys'\n{conf}\n{}{ALL}{MODELS}", provider.table("openai")))
}

/// What a caller is told of a limit: the limit and what is left.
fn told(dialect: Dialect, answer: &Answer, measure: &str) -> (u64, u64) {
    let value = |what: &str| {
        let name = match dialect {
            Dialect::Messages => format!("anthropic-ratelimit-{measure}-{what}"),
            _ => format!("x-ratelimit-{what}-{measure}"),
        };
        answer.header(&name).unwrap_or_else(|| panic!("{name} in {:?}", answer.headers)).to_owned()
    };
    assert!(!value("reset").is_empty());
    (value("limit").parse().unwrap(), value("remaining").parse().unwrap())
}

fn check_refused(answer: &Answer, rule: &str) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.header("x-tollgate-rule"), Some(rule));
}

/// Who asks, for which model, with which headers.
type Ask<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>);

#[test]
fn a_request_over_the_limit_is_refused_in_each_dialect_and_never_reaches_the_provider() {
    let provider = provider();
    let keys: String = DIALECTS.iter().map(|d| key(&format!("{d:?}"), "")).collect();
    let limit = "[[limits]]\nname = 'two a minute'\nscope = ['key']\nrequests = '2/min'\n";
    let gateway = start(&provider, &format!("{keys}{limit}"));
    for dialect in DIALECTS {
        let who = format!("{dialect:?}");
        let asked = provider.seen().len();
        for left in [1, 0] {
            let answer = ask(&gateway, &who, dialect, "m-1", &[]);
            assert_eq!(answer.status, 200, "{dialect:?}: {}", answer.text());
            assert_eq!(told(dialect, &answer, "requests"), (2, left), "{dialect:?}");
        }
        let refused = ask(&gateway, &who, dialect, "m-1", &[]);
        dialect.check_error(&refused, 429);
        check_refused(&refused, "two a minute");
        assert!(refused.text().contains("two a minute"), "the message names the limit");
        assert_eq!(told(dialect, &refused, "requests"), (2, 0), "{dialect:?}");
        let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        let millis: u64 = refused.header("retry-after-ms").unwrap().parse().unwrap();
        assert!((1..=30).contains(&seconds) && millis <= 30_000 && seconds == millis.div_ceil(1000).max(1));
        assert_eq!(provider.seen().len(), asked + 2, "{dialect:?}: what is refused costs nothing");
    }
    let hits = eventually_events(&gateway, "limit_hit", 4);
    assert!(hits.iter().all(|hit| hit["rule"] == "two a minute" && hit["org"] == "default"), "{hits:?}");
}

#[test]
fn an_error_of_the_provider_says_how_the_limits_stand_too() {
    let provider = Provider::start(|seen| {
        let error: &[(&str, &str)] = &[
            ("content-type", "application/json"),
            ("x-ratelimit-remaining-requests", "77777"),
            ("anthropic-ratelimit-tokens-remaining", "88888"),
        ];
        Reply::full(
            if seen.target.contains("messages") { 500 } else { 400 },
            error,
            b"{\"error\":{\"message\":\"no\"}}",
        )
    });
    let limit = "[[limits]]\nscope = ['key']\nmatch = 'ann'\nrequests = '9/hour'\n";
    let gateway = start(&provider, &format!("{}{}{limit}", key("ann", ""), key("bob", "")));
    for (dialect, status, left) in [(Dialect::Chat, 400, 8), (Dialect::Messages, 500, 7)] {
        let answer = ask(&gateway, "ann", dialect, "m-1", &[]);
        assert_eq!(answer.status, status);
        assert_eq!(told(dialect, &answer, "requests"), (9, left));
        let all = format!("{:?}", answer.headers);
        assert!(
            !all.contains("77777") && !all.contains("88888"),
            "the provider's limits are not ann's: {all}"
        );
    }
    let unlimited = ask(&gateway, "bob", Dialect::Chat, "m-1", &[]);
    assert_eq!(unlimited.header("x-ratelimit-remaining-requests"), Some("77777"), "bob has no limit here");
}

/// A provider whose answer to each request waits for the test to say how many tokens it used.
fn asked_provider() -> (Provider, impl Fn(u64, u64)) {
    let (say, said) = channel::<(u64, u64)>();
    let said = Mutex::new(said);
    let provider = Provider::start(move |_| {
        let (input, output) = said.lock().unwrap().recv().unwrap();
        Reply::json(200, &chat_answer(input, output))
    });
    let say = Mutex::new(say);
    (provider, move |input, output| say.lock().unwrap().send((input, output)).unwrap())
}

#[test]
fn tokens_are_reserved_while_a_request_runs_and_what_was_not_used_comes_back() {
    let (provider, say) = asked_provider();
    let limit = "[[limits]]\nname = 'tokens'\nscope = ['key']\ntokens = '1000/day'\n";
    let gateway = start(&provider, &format!("{}{limit}", key("ann", "")));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ask_for(&gateway, "ann", 900));
        eventually("the provider to be asked", || (provider.seen().len() == 1).then_some(()));
        check_refused(&ask_for(&gateway, "ann", 900), "tokens");
        say(25, 7);
        let first = first.join().unwrap();
        assert_eq!(first.status, 200);
        let (limit, left) = told(Dialect::Chat, &first, "tokens");
        assert!(limit == 1000 && (70..=90).contains(&left), "the reservation counts already: {left}");
    });
    // Exactly the 32 tokens that the provider counted are gone.
    say(0, 0);
    let next = eventually("the rest to be free", || {
        Some(ask_for(&gateway, "ann", 1)).filter(|answer| told(Dialect::Chat, answer, "tokens").1 > 900)
    });
    let reserved = 1 + (r#"{"model":"m-1","max_tokens":1,"messages":[]}"#.len() as u64).div_ceil(4);
    assert_eq!(told(Dialect::Chat, &next, "tokens").1, 1000 - 32 - reserved);
}

#[test]
fn a_request_that_used_more_than_it_reserved_keeps_the_next_ones_out() {
    let (provider, say) = asked_provider();
    let limit = "[[limits]]\nname = 'tokens'\nscope = ['key']\ntokens = '1000/day'\n";
    let gateway = start(&provider, &format!("{}{limit}", key("ann", "")));
    say(1500, 500);
    assert_eq!(ask_for(&gateway, "ann", 1).status, 200);
    let refused = eventually("the settlement", || {
        say(0, 0);
        Some(ask_for(&gateway, "ann", 1)).filter(|answer| answer.status == 429)
    });
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    // A thousand tokens of debt take a day, and those of the request a little more.
    assert!((86_300..=88_000).contains(&wait), "{wait}");
}

#[test]
fn input_and_output_tokens_are_limited_apart() {
    let provider = exact_provider();
    let limits = "[[limits]]\nname = 'in'\nscope = ['user']\nmatch = 'ann'\ninput_tokens = '100/day'\n\
                  [[limits]]\nname = 'out'\nscope = ['user']\nmatch = 'bob'\noutput_tokens = '100/day'\n";
    let keys = format!("{}{}", key("ann", "user = 'ann'"), key("bob", "user = 'bob'"));
    let gateway = start(&provider, &format!("{keys}{limits}"));
    let ann = ask_for(&gateway, "ann", 100_000);
    assert_eq!((ann.status, told(Dialect::Chat, &ann, "input-tokens").0), (200, 100));
    let bob = ask_for(&gateway, "bob", 100);
    assert_eq!((bob.status, told(Dialect::Chat, &bob, "output-tokens")), (200, (100, 0)));
    check_refused(&ask_for(&gateway, "bob", 1), "out");
    let long = format!(r#"{{"model":"m-1","max_tokens":1,"messages":["{}"]}}"#, "x".repeat(500));
    check_refused(&post(&gateway, "ann", "/v1/chat/completions", &long, &[]), "in");
}

#[test]
fn a_request_larger_than_its_limit_ever_allows_is_told_not_to_come_again() {
    let provider = exact_provider();
    let limit = "[[limits]]\nname = 'tokens'\nscope = ['key']\ntokens = '1000/day'\n";
    let gateway = start(&provider, &format!("{}{limit}", key("ann", "")));
    let refused = ask_for(&gateway, "ann", 5000);
    check_refused(&refused, "tokens");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!((refused.header("retry-after"), refused.header("retry-after-ms")), (None, None));
    assert_eq!(ask_for(&gateway, "ann", 500).status, 200, "a smaller one passes");
    assert_eq!(provider.seen().len(), 1);
}

/// A provider whose streams begin at once and end as the test says.
fn held_provider() -> (Provider, Sender<()>) {
    let (end, ended) = channel::<()>();
    let ended = std::sync::Arc::new(Mutex::new(ended));
    let provider = Provider::start(move |seen| {
        let begun = stream_head(Dialect::Chat);
        match seen.json()["max_tokens"].as_u64() {
            Some(1) => Reply::ThenHold(begun),
            Some(2) => {
                let ended = ended.clone();
                let wait = Box::new(move || ended.lock().unwrap().recv().unwrap_or(()));
                Reply::ThenWait(begun, wait, [chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n".to_vec()].concat())
            }
            Some(3) => Reply::ThenReset(begun),
            _ => Reply::json(200, &chat_answer(1, 1)),
        }
    });
    (provider, end)
}

#[test]
fn a_place_is_free_again_when_its_exchange_ends_however_it_ends() {
    let (provider, end) = held_provider();
    let limit = "[[limits]]\nname = 'two at a time'\nscope = ['org']\nconcurrent = 2\n";
    let gateway = start(&provider, &format!("{}{limit}", key("ann", "")));
    let free = |places: usize| {
        eventually(&format!("{places} free places"), || {
            (ask_for(&gateway, "ann", 9).status == 200).then_some(())
        });
    };
    let (leaving, head) = begin(&gateway, "ann", 1);
    assert_eq!(head.status, 200);
    let (mut ending, head) = begin(&gateway, "ann", 2);
    assert_eq!(head.status, 200);
    let refused = ask_for(&gateway, "ann", 9);
    check_refused(&refused, "two at a time");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(leaving);
    free(1);
    // Full again, then the stream ends as it should.
    let (leaving, _) = begin(&gateway, "ann", 1);
    check_refused(&ask_for(&gateway, "ann", 9), "two at a time");
    end.send(()).unwrap();
    let mut rest = head;
    ending.body(&mut rest).unwrap();
    assert!(rest.complete);
    free(1);
    // The provider breaks off.
    let (mut broken, mut head) = begin(&gateway, "ann", 3);
    let _ = broken.body(&mut head);
    free(1);
    drop(leaving);
    gateway.idle();
    // Both places are there: nothing was lost, and nothing was made.
    let held = [begin(&gateway, "ann", 1), begin(&gateway, "ann", 1)];
    assert!(held.iter().all(|(_, head)| head.status == 200));
    check_refused(&ask_for(&gateway, "ann", 9), "two at a time");
}

#[test]
fn each_scope_counts_its_own_values_apart() {
    let provider = provider();
    let keys = [
        key("ann-1", "org = 'acme'\nuser = 'ann'"),
        key("ann-2", "org = 'acme'\nuser = 'ann'"),
        key("bob-1", "org = 'acme'\nuser = 'bob'"),
        key("zoe-1", "org = 'zulu'\nuser = 'ann'"),
    ]
    .concat();
    let bridges = "[orgs.acme.bridges.b1]\n[orgs.acme.bridges.b2]\n";
    let bridge = |b| vec![("x-tollgate-bridge", b)];
    let thread = |t| vec![("x-tollgate-thread", t)];
    let from = |a| vec![("x-forwarded-for", a)];
    // Who asks, for what, how; what counts as the same, and what does not.
    let ann: Ask = ("ann-1", "m-1", vec![]);
    let cases: Vec<(&str, Ask, Ask, Ask)> = vec![
        ("['org']", ann.clone(), ("bob-1", "m-2", vec![]), ("zoe-1", "m-1", vec![])),
        ("['user']", ann.clone(), ("ann-2", "m-2", vec![]), ("bob-1", "m-1", vec![])),
        ("['key']", ann.clone(), ("ann-1", "m-2", vec![]), ("ann-2", "m-1", vec![])),
        (
            "['bridge']",
            ("ann-1", "m-1", bridge("b1")),
            ("bob-1", "m-1", bridge("b1")),
            ("ann-1", "m-1", bridge("b2")),
        ),
        (
            "['thread']",
            ("ann-1", "m-1", thread("t1")),
            ("bob-1", "m-1", thread("t1")),
            ("ann-1", "m-1", thread("t2")),
        ),
        ("['model']", ann.clone(), ("bob-1", "m-1", vec![]), ("ann-1", "m-2", vec![])),
        ("['provider']", ann.clone(), ("bob-1", "m-2", vec![]), ("ann-1", "second/m-1", vec![])),
        (
            "['address']",
            ("ann-1", "m-1", from("9.9.9.9")),
            ("bob-1", "m-1", from("9.9.9.9")),
            ("ann-1", "m-1", from("8.8.8.8")),
        ),
        ("['user', 'model']", ann.clone(), ("ann-2", "m-1", vec![]), ("ann-1", "m-2", vec![])),
        ("['model', 'user']", ann.clone(), ("ann-2", "m-1", vec![]), ("bob-1", "m-1", vec![])),
        (
            "['key', 'thread', 'address']",
            ("ann-1", "m-1", [thread("t"), from("9.9.9.9")].concat()),
            ("ann-1", "m-2", [thread("t"), from("9.9.9.9")].concat()),
            ("ann-1", "m-1", [thread("t"), from("8.8.8.8")].concat()),
        ),
    ];
    let gateways: Vec<_> = cases
        .iter()
        .map(|(scope, ..)| {
            Gateway::start(&format!(
                "auth = 'keys'\ntrusted_proxies = ['127.0.0.0/8']\n{keys}{bridges}\
                 [[limits]]\nname = 'one'\nscope = {scope}\nrequests = '1/day'\n{}{MODELS}{}",
                provider.table("openai"),
                provider.table("second")
            ))
        })
        .collect();
    for ((scope, first, same, other), gateway) in cases.iter().zip(&gateways) {
        let ask = |(who, model, more): &Ask| ask(gateway, who, Dialect::Chat, model, more);
        assert_eq!(ask(first).status, 200, "{scope}: {}", ask(first).text());
        check_refused(&ask(same), "one");
        assert_eq!(ask(other).status, 200, "{scope} counts another apart");
        check_refused(&ask(other), "one");
    }
}

#[test]
fn a_limit_is_for_those_that_its_pattern_names() {
    let provider = provider();
    let limit = "[[limits]]\nname = 'one'\nscope = ['user', 'model']\nmatch = { user = 'an*', model = 'openai/m-*' }\nrequests = '1/day'\n";
    let keys = format!("{}{}{}", key("ann", "user = 'ann'"), key("bob", "user = 'bob'"), key("nobody", ""));
    let gateway = start(&provider, &format!("{keys}{limit}"));
    for who in ["bob", "nobody"] {
        for _ in 0..3 {
            let answer = ask(&gateway, who, Dialect::Chat, "m-1", &[]);
            assert_eq!((answer.status, answer.header("x-ratelimit-limit-requests")), (200, None));
        }
    }
    assert_eq!(ask(&gateway, "ann", Dialect::Chat, "m-1", &[]).status, 200);
    check_refused(&ask(&gateway, "ann", Dialect::Chat, "m-1", &[]), "one");
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "ann", Dialect::Chat, "x-1", &[]).status, 200);
    }
}

/// Two providers, `first` failing where `fails`, and an alias `both` that tries them in turn.
fn two(fails: bool, limit: &str) -> (Provider, Provider, Gateway) {
    let first = Provider::start(move |seen| {
        if fails { Reply::json(500, "{}") } else { Reply::json(200, dialect_of(seen).answer()) }
    });
    let second = provider();
    let gateway = Gateway::start(&format!(
        "auth = 'keys'\n{}[models.both]\ntargets = [{{ provider = 'first', model = 'm-1' }}, {{ provider = 'second', model = 'm-2' }}]\n{limit}{}{}",
        key("ann", ""),
        first.table("first"),
        second.table("second")
    ));
    (first, second, gateway)
}

#[test]
fn a_limit_on_the_second_target_is_not_dodged_by_failing_over_to_it() {
    let (first, second, gateway) =
        two(true, "[[limits]]\nname = 'one of m-2'\nscope = ['model']\nmatch = 'm-2'\nrequests = '1/day'\n");
    let answer = ask(&gateway, "ann", Dialect::Chat, "both", &[]);
    assert_eq!((answer.status, answer.header("x-tollgate-provider")), (200, Some("second")));
    let refused = ask(&gateway, "ann", Dialect::Chat, "both", &[]);
    check_refused(&refused, "one of m-2");
    assert_eq!((first.seen().len(), second.seen().len()), (2, 1));
    assert_eq!(gateway.rows_of(refused.id(), 1).len(), 1, "the attempt that failed is booked");
    check_refused(&ask(&gateway, "ann", Dialect::Chat, "second/m-2", &[]), "one of m-2");
}

#[test]
fn a_target_without_room_is_passed_over_and_not_asked() {
    let (first, second, gateway) = two(
        false,
        "[[limits]]\nname = 'one there'\nscope = ['provider']\nmatch = 'first'\nrequests = '1/day'\n",
    );
    let by = |answer: &Answer| answer.header("x-tollgate-provider").map(str::to_owned);
    assert_eq!(by(&ask(&gateway, "ann", Dialect::Chat, "both", &[])).as_deref(), Some("first"));
    for _ in 0..2 {
        let answer = ask(&gateway, "ann", Dialect::Chat, "both", &[]);
        assert_eq!((answer.status, by(&answer).as_deref()), (200, Some("second")));
        assert_eq!(answer.header("x-tollgate-attempts"), Some("1"));
    }
    check_refused(&ask(&gateway, "ann", Dialect::Chat, "first/m-1", &[]), "one there");
    assert_eq!((first.seen().len(), second.seen().len()), (1, 2));
}

#[test]
fn what_one_rule_denies_takes_nothing_from_the_others() {
    let provider = provider();
    let limits = "[[limits]]\nname = 'three'\nscope = ['key']\nrequests = '3/day'\n\
                  [[limits]]\nname = 'one'\nscope = ['thread']\nrequests = '1/day'\n\
                  [[limits]]\nname = 'model'\nscope = ['model']\nrequests = '5/day'\n";
    let gateway = start(&provider, &format!("{}{limits}", key("ann", "")));
    let ask = |thread: &str| ask(&gateway, "ann", Dialect::Chat, "m-1", &[("x-tollgate-thread", thread)]);
    assert_eq!(ask("a").status, 200);
    for _ in 0..9 {
        check_refused(&ask("a"), "one");
    }
    assert_eq!(ask("b").status, 200);
    assert_eq!(ask("c").status, 200);
    check_refused(&ask("d"), "three");
    assert_eq!(provider.seen().len(), 3);
}

#[test]
fn a_conversation_named_in_the_body_is_a_thread_unless_the_header_names_one() {
    let provider = provider();
    let limit = "[[limits]]\nname = 'one'\nscope = ['thread']\nrequests = '1/day'\n";
    let gateway = start(&provider, &format!("{}{limit}", key("ann", "")));
    let ask = |conversation: &str, more: &[(&str, &str)]| {
        let body = format!(r#"{{"model":"m-1","input":"a","conversation":"{conversation}"}}"#);
        post(&gateway, "ann", "/v1/responses", &body, more).status
    };
    assert_eq!((ask("conv_1", &[]), ask("conv_1", &[]), ask("conv_2", &[])), (200, 429, 200));
    assert_eq!(ask("conv_3", &[("x-tollgate-thread", "conv_1")]), 429);
}

#[test]
fn models_can_be_listed_under_a_limit_and_cost_no_tokens() {
    let provider = provider();
    let limits = "[[limits]]\nscope = ['key']\ntokens = '10/day'\nrequests = '2/day'\n";
    let gateway = start(&provider, &format!("{}{limits}", key("ann", "")));
    let list = || crate::support::policy::request(&gateway, "ann", "GET", "/v1/models", "", &[]);
    let answer = list();
    assert_eq!(answer.status, 200);
    assert!(answer.json()["data"].is_array());
    let row_free = gateway.rows().iter().all(|row| row["cost"] == json!("0") || row["cost"].is_null());
    assert!(row_free);
}
