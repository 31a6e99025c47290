//! Apps that shadow the names which the macros use.

use flame_aws::AppError;

use super::{Db, app, pool};

mod shadowing {
    //! A module that shadows every name that the macros could use.
    #![allow(dead_code, unused_macros)]

    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct Box;
    pub(super) struct Vec;
    pub(super) struct String;
    pub(super) struct Work;
    pub(super) trait Send {}
    pub(super) trait Future {}
    pub(super) trait Clone {
        fn encode(&self) {}
        fn decode(&self) {}
        fn get(&self) {}
    }
    impl<T: ?Sized> Clone for T {}
    mod core {}
    mod std {}
    mod flame_aws {}
    macro_rules! concat {
        () => {};
    }
    macro_rules! file {
        () => {};
    }

    #[::flame_aws::remote]
    pub(super) async fn shadowed(
        text: &str,
        list: &[u8],
        #[state] db: super::Db,
    ) -> (usize, usize) {
        (text.len() + db.0.len(), list.len())
    }

    #[::flame_aws::remote]
    pub(super) fn plain_shadowed(text: &str) -> usize {
        text.len()
    }
}

#[tokio::test]
async fn names_that_the_app_shadows_do_not_affect_the_expansion() {
    let run = app().run(async || {
        same_here_and_there!(shadowing::shadowed("a", &[1]), shadowing::plain_shadowed("abc"));
        Ok::<_, AppError>(())
    });
    run.await.unwrap();
}
