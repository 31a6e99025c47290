use super::*;

fn instance(n: usize) -> Instance {
    Instance::new(format!("i-{n}"))
}

fn reason(watch: BoxFuture<'static, Death>) -> Option<String> {
    watch.now_or_never().map(|death| death.reason)
}

#[test]
fn every_watch_completes_at_the_death_and_not_before() {
    let table = InstanceTable::new();
    table.insert(instance(1), ());
    let mut watches = [table.watch(&instance(1)), table.watch(&instance(1))];
    assert!(watches.iter_mut().all(|watch| watch.now_or_never().is_none()));
    table.record_death(&instance(1), Death::new("killed"));
    for watch in watches {
        assert_eq!(reason(watch).as_deref(), Some("killed"));
    }
}

#[test]
fn a_watch_that_comes_after_the_death_gets_it_at_once() {
    let table = InstanceTable::new();
    table.insert(instance(1), ());
    table.record_death(&instance(1), Death::new("killed"));
    assert_eq!(reason(table.watch(&instance(1))).as_deref(), Some("killed"));
}

#[test]
fn an_unknown_instance_is_gone() {
    let table = InstanceTable::<()>::new();
    assert_eq!(reason(table.watch(&instance(1))).as_deref(), Some("the instance is gone"));
}

#[test]
fn the_first_death_of_an_instance_is_the_one_that_counts() {
    let table = InstanceTable::new();
    table.insert(instance(1), "handle");
    assert_eq!(table.record_death(&instance(1), Death::new("killed")), Some("handle"));
    assert_eq!(table.record_death(&instance(1), Death::new("killed again")), None);
    assert_eq!(reason(table.watch(&instance(1))).as_deref(), Some("killed"));
}

#[test]
fn the_table_keeps_a_bounded_number_of_deaths_and_forgets_the_oldest() {
    let table = InstanceTable::new();
    for n in 0..=DEATHS {
        table.insert(instance(n), ());
        table.record_death(&instance(n), Death::new("killed"));
    }
    assert_eq!(table.lock().dead.len(), DEATHS);
    assert_eq!(reason(table.watch(&instance(0))).as_deref(), Some("the instance is gone"));
    assert_eq!(reason(table.watch(&instance(1))).as_deref(), Some("killed"));
}

#[test]
fn an_id_that_is_used_again_is_alive_again() {
    let table = InstanceTable::new();
    table.insert(instance(1), 1);
    table.record_death(&instance(1), Death::new("killed"));
    table.insert(instance(1), 2);
    assert!(table.watch(&instance(1)).now_or_never().is_none());
    assert_eq!(table.with(&instance(1), |handle| *handle), Some(2));
    table.record_death(&instance(1), Death::new("killed again"));
    assert_eq!(reason(table.watch(&instance(1))).as_deref(), Some("killed again"));
}

#[test]
fn an_instance_that_is_replaced_is_gone_for_those_who_watch_it() {
    let table = InstanceTable::new();
    table.insert(instance(1), ());
    let first = table.watch(&instance(1));
    table.insert(instance(1), ());
    assert_eq!(reason(first).as_deref(), Some("the instance is gone"));
}

#[test]
fn a_watch_does_not_keep_the_table_or_its_handles() {
    let table = InstanceTable::new();
    let handle = Arc::new(());
    table.insert(instance(1), handle.clone());
    let watch = table.watch(&instance(1));
    drop(table);
    assert_eq!(Arc::strong_count(&handle), 1);
    assert_eq!(reason(watch).as_deref(), Some("the instance is gone"));
}
