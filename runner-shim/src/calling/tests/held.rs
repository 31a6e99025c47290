//! Held values.

use super::*;
use crate::calling::{Held, NotHere, codec};

struct Model(u32);

remote!(
    fn load(bias: u32) -> Held<Model> {
        Held::new(Model(bias))
    }
);
remote!(
    fn load_two(bias: u32) -> (Held<Model>, Vec<Held<String>>) {
        (Held::new(Model(bias)), vec![Held::new("a".to_owned()), Held::new("b".to_owned())])
    }
);
remote!(
    fn ask(model: Held<Model>) -> u32 {
        model.get().map_or(0, |model| model.0)
    }
);
remote!(
    fn ask_text(text: Held<String>) -> String {
        text.get().cloned().unwrap_or_default()
    }
);
remote!(
    fn pass_on(model: Held<Model>) -> Held<Model> {
        model
    }
);

#[tokio::test]
async fn a_held_value_stays_on_its_runner_and_its_handle_finds_it() {
    let runner = Arc::default();
    let handle = call(&runner, load::work(5), &load::ENTRY).await.unwrap();
    assert_eq!(
        handle.get().err().unwrap().to_string(),
        NotHere { value: std::any::type_name::<Model>() }.to_string()
    );
    assert!(!handle.is_here());
    assert_eq!(handle.guard().unwrap().runner(), 1);
    assert_eq!(call(&runner, ask::work(handle.clone()), &ask::ENTRY).await.unwrap(), 5);
}

#[tokio::test]
async fn several_held_values_of_one_result_have_different_ids() {
    let runner = Arc::default();
    let (model, texts) = call(&runner, load_two::work(6), &load_two::ENTRY).await.unwrap();
    assert_eq!(call(&runner, ask::work(model), &ask::ENTRY).await.unwrap(), 6);
    for (text, expected) in texts.into_iter().zip(["a", "b"]) {
        let text = call(&runner, ask_text::work(text), &ask_text::ENTRY).await.unwrap();
        assert_eq!(text, expected);
    }
}

#[tokio::test]
async fn the_guard_lives_as_long_as_the_last_handle() {
    let runner: Arc<Runner> = Arc::default();
    let before = Arc::strong_count(&runner);
    let handle = call(&runner, load::work(5), &load::ENTRY).await.unwrap();
    let clone = handle.clone();
    drop(handle);
    assert_eq!(Arc::strong_count(&runner), before + 1);
    let (encoded, _) = ask::work(clone).encode().unwrap();
    assert_eq!(encoded.held_guards.len(), 1, "an encoded call keeps it too");
    assert_eq!(Arc::strong_count(&runner), before + 1);
    drop(encoded);
    assert_eq!(Arc::strong_count(&runner), before);
}

#[tokio::test]
async fn a_value_held_here_is_shared_and_cannot_be_sent() {
    let here = load::work(3).await;
    assert_eq!(here.get().unwrap().0, 3);
    assert_eq!(ask::work(here.clone()).await, 3);
    let error = ask::work(here).encode().unwrap_err();
    assert!(error.to_string().contains("lives in this process"), "{error}");
}

#[tokio::test]
async fn a_handle_of_another_type_is_rejected() {
    let runner = Arc::default();
    let model = call(&runner, load::work(5), &load::ENTRY).await.unwrap();
    let (mut encoded, _) = ask::work(model).encode().unwrap();
    let error = serve(&runner, &ask_text::ENTRY, &mut encoded).unwrap_err();
    assert!(error.to_string().contains("is not a `alloc::string::String`"), "{error}");
}

#[tokio::test]
async fn another_runner_does_not_know_the_handle() {
    let model = call(&Arc::default(), load::work(5), &load::ENTRY).await.unwrap();
    let error = call(&Arc::default(), ask::work(model), &ask::ENTRY).await.unwrap_err();
    assert!(error.to_string().contains("pool.at(&held)"), "{error}");
}

#[tokio::test]
async fn a_function_may_keep_its_held_argument() {
    let runner = Arc::default();
    let first = call(&runner, load::work(9), &load::ENTRY).await.unwrap();
    let second = call(&runner, pass_on::work(first.clone()), &pass_on::ENTRY).await.unwrap();
    drop(first);
    assert_eq!(call(&runner, ask::work(second), &ask::ENTRY).await.unwrap(), 9);
}

#[test]
fn a_held_value_outside_of_a_call_is_rejected() {
    let error = codec::encode(&Held::new(Model(1))).unwrap_err();
    assert!(error.to_string().contains("in an argument or in the result"), "{error}");
}

#[tokio::test]
async fn a_held_value_in_an_item_of_a_stream_is_rejected_on_the_runner() {
    static ENTRY: FunctionEntry =
        FunctionEntry::new(("models", "", ""), Kind::Stream, HERE, &[], |call| {
            private::invoke(
                call,
                |from| private::argument::<u32>("count").decode(from),
                |count, scope| {
                    let codec = (&&&ResultProbe::<Held<Model>>::NEW).__flame_codec();
                    let models =
                        move || futures_util::stream::iter((0..count).map(Model).map(Held::new));
                    private::stream_execution(models, codec, scope)
                },
            )
        });
    let work = private::stream_work(
        &ENTRY,
        3_u32,
        |count, to| private::argument::<u32>("count").encode(count, to),
        |count| {
            private::boxed_stream(futures_util::stream::iter((0..count).map(Model).map(Held::new)))
        },
        (&&&ResultProbe::<Held<Model>>::NEW).__flame_codec(),
    );
    let runner: Arc<Runner> = Arc::default();
    let (mut encoded, _) = work.encode().unwrap();
    let mut items = stream_execution(serve(&runner, &ENTRY, &mut encoded).unwrap().execution);
    let error = items.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("return a `Vec` of them"), "{error}");
}
