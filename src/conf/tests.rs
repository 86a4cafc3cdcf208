use super::*;

fn wrong(text: &str) -> String {
    Conf::parse(text).unwrap_err().to_string()
}

const LOCAL: &str = "[providers.local]\nbase_url = 'http://127.0.0.1:1'\n";

#[test]
fn the_embedded_defaults_are_valid() {
    let conf = Conf::parse("").unwrap();
    assert_eq!(conf.server.listen, ["127.0.0.1:8080"]);
    assert!(conf.prices.models("openai").count() > 100);
}

#[test]
fn an_error_shows_the_line_and_not_the_secret_in_it() {
    let planted = "sk-planted-4f9c2e71b8";
    for text in [
        format!("[providers.openai]\napi_kye = \"{planted}\"\n"),
        format!("[providers.openai]\napi_key = \"{planted}\n"),
        format!("[secrets]\nmaster_key = \"{planted}\"\n"),
        format!("[secrets]\nprevious_master_keys = [\n  \"{planted}\",\n  5,\n]\n"),
        format!("[secrets]\nprevious_master_keys = [\n  \"{planted}\" 5,\n]\n"),
    ] {
        let error = Conf::parse(&text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(planted), "{error}");
    }
    let error = Conf::parse(&format!("[providers.openai]\napi_kye = \"{planted}\"\n")).unwrap_err();
    assert!(error.to_string().contains("2 | api_kye = …"), "{error}");
}

#[test]
fn a_master_key_stands_outside_the_configuration() {
    let secrets = |text: &str| Conf::parse(text).map(|conf| conf.secrets);
    assert_eq!(secrets("[secrets]\nmaster_key = \"env:TOLLGATE_MASTER_KEY\"").unwrap(), secrets("").unwrap());
    for literal in ["abc", "store:abc"] {
        let error = secrets(&format!("[secrets]\nmaster_key = {literal:?}")).unwrap_err().to_string();
        assert!(error.contains("secrets.master_key") && error.contains("file:/path"), "{error}");
    }
    let missing = secrets("[secrets]\nmaster_key = \"file:/nowhere\"").unwrap().read().unwrap_err();
    assert!(missing.starts_with("secrets.master_key cannot be read: /nowhere"), "{missing}");
}

#[test]
fn a_provider_with_a_key_from_the_store_is_on() {
    let conf = Conf::parse("[providers.openai]\napi_key = \"store:openai\"").unwrap();
    let openai = conf.providers.iter().find(|p| p.name == "openai").unwrap();
    assert_eq!(openai.api_key, Some(Secret::Store("openai".to_owned())));
    assert!(Secret::parse("store:openai").resolve().unwrap_err().contains("api_key only"));
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let message = wrong("[server]\nlisten = ['127.0.0.1:1']\nlisten_adress = 'x'\n");
    assert!(
        message.contains("line 3")
            && message.contains("listen_adress")
            && message.contains("expected one of"),
        "{message}"
    );
}

#[test]
fn a_vendor_is_one_table() {
    let conf = Conf::parse(LOCAL).unwrap();
    let local = conf.providers.iter().find(|p| p.name == "local").unwrap();
    assert_eq!((local.auth, &*local.api_path), (KeyStyle::None, "/v1"));
    assert!(!conf.providers.iter().any(|p| p.name == DEMO), "a configured provider switches the demo off");
}

#[test]
fn the_demo_stays_where_it_is_asked_for() {
    let conf = Conf::parse(&format!("{LOCAL}[providers.demo]\n")).unwrap();
    assert!(conf.providers.iter().any(|p| p.name == DEMO));
}

#[test]
fn an_own_table_overrides_a_built_in_one_key_by_key() {
    let conf =
        Conf::parse("[providers.openai]\napi_key = 'sk-1'\nbase_url = 'http://127.0.0.1:9/v1'\n").unwrap();
    let openai = conf.providers.iter().find(|p| p.name == "openai").unwrap();
    assert_eq!(openai.base_url, "http://127.0.0.1:9/v1");
    assert_eq!(openai.dialects, [Dialect::OpenaiChat, Dialect::OpenaiResponses]);
}

#[test]
fn an_alias_needs_providers_that_exist() {
    assert!(
        wrong("[models.fast]\ntargets = [{provider='nobody', model='m'}]").contains("no provider \"nobody\"")
    );
    let strategy = wrong("[models.fast]\nstrategy='random'\ntargets=[]");
    assert!(strategy.contains("unknown variant `random`, expected `failover`"), "{strategy}");
}

#[test]
fn weak_and_double_keys_are_refused() {
    assert!(wrong("[[keys]]\nname='a'\nkey='short'").contains("shorter than 16"));
    let twice = "[[keys]]\nname='a'\nkey='0123456789abcdef'\n[[keys]]\nname='b'\nkey='0123456789abcdef'";
    assert!(wrong(twice).contains("\"b\" and \"a\""));
    let unread = Conf::parse("[[keys]]\nname='a'\nkey='env:TOLLGATE_TEST_NOT_SET'").unwrap();
    assert!(unread.missing[0].contains("TOLLGATE_TEST_NOT_SET is not set"));
}

#[test]
fn bad_values_are_named() {
    assert!(wrong("[server]\nlisten=['nowhere']").contains("\"nowhere\" is not an address"));
    assert!(wrong("[server]\nbody_limit='x'").contains("size such as"));
    assert!(wrong("[server]\ngrace='0s'").contains("is no time"));
    assert!(wrong("[providers.v1]\nbase_url='http://a'").contains("providers.v1"));
}

#[test]
fn no_debug_output_shows_a_secret() {
    let conf = Conf::parse(
        "[providers.openai]\napi_key='sk-planted'\n[[keys]]\nname='a'\nkey='tg-planted-0123456789'",
    )
    .unwrap();
    assert!(!format!("{conf:?}").contains("planted"));
}

#[test]
fn an_alias_without_a_target_that_is_on_says_why() {
    assert!(wrong("[models.fast]\ntargets = []").contains("targets is empty"));
    let conf = Conf::parse("[providers.a]\nbase_url='http://b'\nenabled=false\n[models.fast]\ntargets=[{provider='a',model='m'}]").unwrap();
    let routes = conf.routes();
    let refusal =
        routes.resolve("fast", Dialect::OpenaiChat, tollgate_filters::exchange::Operation::Chat).unwrap_err();
    assert!(refusal.message.contains("enabled = false"), "{refusal}");
}

#[test]
fn the_commented_configuration_is_the_default_one() {
    let written = Conf::parse(include_str!("../../conf/tollgate.toml")).unwrap();
    assert_eq!(format!("{:?}", written.server), format!("{:?}", Conf::parse("").unwrap().server));
}
