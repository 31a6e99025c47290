//! `#[remote]` marks a function that may run in a copy of the app. `#[test]` marks a test that uses
//! such copies.
//!
//! ```text
//!   tokens --> RemoteFunction (signature.rs) --> tokens (expand.rs)
//!                  |
//!                  +-- or an error (reject.rs), which says what to write instead
//! ```
//!
//! - `signature` parses a function, and decides for each parameter where its value comes from.
//! - `reject` has every error that the macros themselves report. Where a trait bound rejects the
//!   code instead, the message is on the trait, in `flame_runner_shim::calling`.
//! - `attributes` distributes a function's attributes to the items that the function becomes.
//! - `test` wraps a test.
//! - `methods` reads an impl block, and `block` reads the closure of `call!`. Both make a
//!   `signature::RemoteFunction` for each function that they find.
//! - `fragments` handles the invisible groups that a `macro_rules` puts around its fragments.
//!
//! The expansion refers only to `core`, to `std`, and to `Work`, `StreamWork` and `__private` of
//! flame-aws, so an app needs no dependency but `flame-aws`. `options` parses the path of
//! flame-aws: `::flame_aws`, or the path in the attribute. `call!` passes its own `$crate`.

mod attributes;
mod block;
mod expand;
mod fragments;
mod methods;
mod options;
mod reject;
mod signature;
mod test;

use proc_macro::TokenStream;

/// Marks a function, or methods of an impl block, that may run in a copy of the app.
///
/// The documentation, with examples that compile, is at `flame_aws::remote`.
#[proc_macro_attribute]
pub fn remote(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let root = options::CratePath::of_attribute(arguments.into());
    let expanded = root.and_then(|root| remote_item(item.into(), &root));
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Marks an `async` test whose pools boot real copies of the test under `cargo test`.
///
/// The documentation, with an example that compiles, is at `flame_aws::test`.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = test::expand(arguments.into(), item.into());
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Implements `call!`: the closure becomes a remote function, and the expansion its work.
#[doc(hidden)]
#[proc_macro]
pub fn block(closure: TokenStream) -> TokenStream {
    block::expand(closure.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn remote_item(
    item: proc_macro2::TokenStream,
    root: &options::CratePath,
) -> syn::Result<proc_macro2::TokenStream> {
    let item = fragments::parenthesize_groups(item);
    match syn::parse2(item.clone()) {
        Ok(syn::Item::Fn(function)) => {
            Ok(expand::function(&signature::RemoteFunction::free(function, root)?).items)
        }
        Ok(syn::Item::Impl(block)) => methods::expand(block, root),
        Ok(other) => Err(reject::item(&other)),
        Err(error) => Err(reject::not_an_item(item, error)),
    }
}
