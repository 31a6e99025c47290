//! Errors of `#[flame_aws::test]`: items that it can't be applied to, and invalid options.

use proc_macro2::Ident;
use syn::{Error, Expr, ItemFn, spanned::Spanned};

use super::at;

/// An unknown option.
pub(crate) fn option(name: &Ident) -> Error {
    Error::new(
        name.span(),
        "the options of `#[flame_aws::test]` are `app = expression`, for the `App` of the test, and \
         `worker_threads = 2`; both are optional",
    )
}

/// An option that is given twice.
pub(crate) fn twice(name: &Ident) -> Error {
    Error::new(name.span(), format!("`{name}` is given twice: remove one"))
}

/// A value of `crate` that is not a path.
pub(crate) fn root(error: &Error) -> Error {
    Error::new(
        error.span(),
        format!("write the path of flame-aws as in `crate = my::flame_aws`: {error}"),
    )
}

/// A value of `worker_threads` that is not a number.
pub(crate) fn threads(value: &Expr) -> Error {
    Error::new(
        value.span(),
        "`worker_threads` has to be a number of at least 1, as in `worker_threads = 2`",
    )
}

/// Tokens that are not a function.
pub(crate) fn item(error: &Error) -> Error {
    Error::new(
        error.span(),
        format!("put `#[flame_aws::test]` on an `async fn` without parameters: {error}"),
    )
}

/// Checks the function.
pub(crate) fn function(test: &ItemFn) -> syn::Result<()> {
    // `#[tokio::test]` above this attribute has added `#[test]`, and has removed `async`.
    let is_test = |attribute: &&syn::Attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|segment| segment.ident == "test")
    };
    if let Some(other) = test.attrs.iter().find(is_test) {
        return at(
            other,
            "`#[flame_aws::test]` makes the test and its runtime: remove the other attribute, such as \
             `#[test]` or `#[tokio::test]`",
        );
    }
    let signature = &test.sig;
    if signature.asyncness.is_none() {
        return at(
            &signature.fn_token,
            "a test that uses a pool has to be `async`: write `async fn`, or use `#[test]` for a test \
             without a pool",
        );
    }
    if let Some(parameter) = signature.inputs.first() {
        return at(
            parameter,
            "a test cannot have parameters, because nothing passes them to its copies: make the value \
             inside the test, or provide state by `#[flame_aws::test(app = ..)]`",
        );
    }
    if let Some(parameter) = signature.generics.params.first() {
        return at(
            parameter,
            "a test cannot be generic: write one test for each type, and call a generic function from them",
        );
    }
    if let Some(token) = &signature.unsafety {
        return at(token, "a test cannot be `unsafe`: use an `unsafe` block inside the test");
    }
    match &signature.abi {
        Some(abi) => at(abi, "a test cannot be `extern`: remove `extern`"),
        None => Ok(()),
    }
}
