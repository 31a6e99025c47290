//! Attributes of remote functions, methods and impl blocks.

use super::pool;

mod items {
    //! The lints fail if an attribute ends up on the wrong item.
    #![deny(missing_docs, unused, deprecated, clippy::all)]

    use flame_aws::remote;

    /// Documented and public.
    #[remote]
    #[deprecated = "use another"]
    #[allow(clippy::unused_unit)]
    pub async fn old() -> () {}

    #[remote]
    #[must_use = "counting is expensive"]
    pub(super) async fn count() -> usize {
        1
    }

    #[remote]
    #[must_use]
    pub(super) async fn bare_must_use() -> usize {
        1
    }

    #[remote]
    #[cfg(any())]
    pub(super) async fn absent(number: DoesNotExist) {}

    #[remote]
    #[cfg_attr(all(), expect(unused_variables, reason = "the parameter is unused"))]
    pub(super) async fn expected(number: u8) {}

    /// A public type.
    #[expect(unreachable_pub, reason = "the test is about what the macro keeps")]
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    pub struct Thing;

    #[remote]
    impl Thing {
        /// Documented.
        #[remote]
        #[cfg(test)]
        #[expect(clippy::needless_return, reason = "the return is needless")]
        pub async fn method(&self) -> u8 {
            return 1;
        }

        /// Removed by `cfg`.
        #[remote]
        #[cfg(any())]
        pub async fn absent(&self, number: DoesNotExist) {}
    }

    #[deprecated]
    #[derive(serde::Serialize, serde::Deserialize)]
    pub(super) struct Old;

    #[remote]
    #[expect(deprecated, reason = "the type is deprecated")]
    impl Old {
        #[remote]
        pub(super) async fn method(&self) -> u8 {
            2
        }

        #[remote]
        #[cfg_attr(all(), cfg(any()), must_use)]
        pub(super) async fn absent(&self, number: DoesNotExist) {}
    }

    #[remote]
    #[cfg(any())]
    impl DoesNotExist {
        #[remote]
        pub(super) async fn absent(&self) {}
    }
}

#[tokio::test]
async fn attributes_stay_on_the_items_that_they_apply_to() {
    #[expect(deprecated, reason = "the attribute has to be on the function that is called")]
    let old = items::old();
    old.await;
    let thing = items::Thing;
    same_here_and_there!(
        items::count(),
        items::bare_must_use(),
        items::expected(1),
        thing.method(),
    );
    #[expect(deprecated, reason = "the type is deprecated")]
    let old = items::Old;
    same_here_and_there!(old.method());
}
