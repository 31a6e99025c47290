use super::*;

const KEY: &str = "0123456789abcdef";

fn variables<'a>(
    url: Option<&'a str>,
    key: Option<&'a str>,
) -> impl Fn(&str) -> Option<String> + use<'a> {
    move |name| match name {
        URL_VARIABLE => url.map(str::to_owned),
        KEY_VARIABLE => key.map(str::to_owned),
        _ => panic!("{name}"),
    }
}

#[test]
fn the_environment_names_up_to_three_relays_and_their_key() {
    let relay = Relay::from_variables(variables(Some("ws://a:1, wss://b,"), Some(KEY))).unwrap();
    let (urls, key) = relay.check().unwrap();
    assert_eq!(urls, ["ws://a:1", "wss://b"]);
    assert_eq!(key.as_str(), KEY);
    for empty in [None, Some(""), Some(" ,")] {
        assert_eq!(Relay::from_variables(variables(empty, Some(KEY))), None);
    }
}

#[test]
fn a_key_in_the_code_is_preferred_to_that_of_the_environment() {
    let relay = Relay::new("ws://a").key(KEY).with_key_from(variables(None, Some("other")));
    assert_eq!(relay.check().unwrap().1.as_str(), KEY);
    let relay = Relay::new("ws://a").with_key_from(variables(None, Some("other")));
    assert_eq!(relay.check().unwrap().1.as_str(), "other");
}

#[test]
fn a_url_may_end_with_a_slash() {
    let relay = Relay::new("wss://relay.example.com/").or("ws://10.0.0.1:8443/").key(KEY);
    assert!(relay.check().is_ok());
}

#[test]
fn what_is_wrong_with_a_relay_is_said_and_its_key_is_not_shown() {
    for (relay, why) in [
        (Relay::new("relay.example.com").key(KEY), "does not begin with"),
        (Relay::new("https://relay.example.com").key(KEY), "does not begin with"),
        (Relay::new("wss://relay.example.com/v1/runner").key(KEY), "more than a host and a port"),
        (Relay::new("ws://a").or("ws://b:80/path").key(KEY), "more than a host and a port"),
        (Relay::new("ws://user@a").key(KEY), "a user name"),
        (Relay::new("ws://a").or("ws://b").or("ws://c").or("ws://d").key(KEY), "at most 3 relays"),
        (Relay::new("ws://a"), "has no key: call `Relay::key`, or set FLAME_RELAY_KEY"),
        (Relay::new("ws://a").key(""), "has a key that is empty"),
        (Relay::new("ws://a").key(format!("{KEY}\n")), "other than visible ASCII"),
    ] {
        let error = relay.check().unwrap_err();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains(KEY) && !format!("{relay:?}").contains(KEY), "{error} {relay:?}");
    }
}
