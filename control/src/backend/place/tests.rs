use super::*;

const A: &str = "90a6480bb4f3";
const B: &str = "75d3851b9894";

fn place(instance: Option<&str>, namespace: &str, pid: u32) -> Place {
    Place {
        instance: instance.map(str::to_owned),
        process: Some(ProcessPlace {
            boot: "kernel".to_owned(),
            namespace: namespace.to_owned(),
            pid,
            started: 100,
        }),
    }
}

#[test]
fn a_place_survives_its_encoding() {
    for place in [
        place(Some(A), "1", 7),
        place(None, "1", 7),
        Place { instance: Some(A.to_owned()), process: None },
    ] {
        assert_eq!(Place::decode(&place.encode().unwrap()), Some(place));
    }
    assert_eq!(Place { instance: None, process: None }.encode(), None);
    assert_eq!(Place::decode("nonsense"), None);
    assert_eq!(Place::decode("/a,b,c,d"), None);
}

#[test]
fn this_process_lives_and_can_be_looked_up() {
    let me = Place::of_this_process(None);
    if cfg!(target_os = "linux") {
        let again = Place::decode(&me.encode().unwrap()).unwrap();
        assert_eq!(again.status(&me, |_| None, started), Some(ParentStatus::Alive));
    }
}

#[test]
fn a_parent_in_another_instance_lives_as_long_as_its_instance_runs() {
    let (me, parent) = (place(Some(B), "2", 1), place(Some(A), "1", 1));
    let status = |runs| parent.status(&me, |_| runs, |_| panic!("another namespace"));
    assert_eq!(status(Some(true)), Some(ParentStatus::Alive));
    assert_eq!(status(Some(false)), Some(ParentStatus::Dead));
    assert_eq!(status(None), None, "the platform did not say");
}

#[test]
fn a_parent_on_the_same_machine_lives_while_its_process_does() {
    let (me, parent) = (place(None, "1", 1), place(None, "1", 7));
    let status = |started| parent.status(&me, |_| panic!("no instance"), |_| started);
    assert_eq!(status(Some(100)), Some(ParentStatus::Alive));
    assert_eq!(status(None), Some(ParentStatus::Dead));
    assert_eq!(status(Some(101)), Some(ParentStatus::Dead), "its id was given to another process");
}

#[test]
fn a_parent_that_can_not_be_looked_up_is_never_presumed_dead() {
    let me = place(None, "1", 1);
    let elsewhere = |place: Place| place.status(&me, |_| None, |_| panic!("not to be looked up"));
    assert_eq!(elsewhere(place(None, "2", 7)), None, "another PID namespace");
    let mut other = place(None, "1", 7);
    other.process.as_mut().unwrap().boot = "other".to_owned();
    assert_eq!(elsewhere(other), None, "another machine");
    assert_eq!(elsewhere(Place { instance: None, process: None }), None);
}

#[test]
fn an_earlier_run_of_the_same_instance_is_dead() {
    let (me, earlier) = (place(Some(A), "2", 1), place(Some(A), "1", 1));
    let status = earlier.status(&me, |_| panic!("it is this instance"), |_| None);
    assert_eq!(status, Some(ParentStatus::Dead));
    let sibling = place(Some(A), "2", 9);
    assert_eq!(sibling.status(&me, |_| None, |_| Some(100)), Some(ParentStatus::Alive));
}

#[test]
fn a_start_time_is_read_whatever_the_processs_name() {
    let stat =
        |state: &str| format!("7 (a) b) {state} 1 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 4711 9 9");
    assert_eq!(started_in(&stat("S")), Some(4711));
    assert_eq!(started_in(&stat("Z")), None);
    assert_eq!(started_in("7 (a"), None);
}
