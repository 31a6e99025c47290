//! `#[remote]`: marks a function that may run in a copy of the app. `#[test]`: a test with copies.
//!
//! ```text
//!   tokens --> Function (signature.rs) --> tokens (expand.rs)
//!                  |
//!                  +-- or a refusal (refuse.rs), which says what to write instead
//! ```
//!
//! - `signature` takes a function apart and decides for each parameter how it travels.
//! - `refuse` has every refusal, in one place; what is refused by a trait bound rather than by
//!   syntax has its message on the trait, in `flame_runner_shim::calling::codec`.
//! - `attributes` deals a function's attributes out to what it becomes.
//! - `test` wraps a test; it has no table and no signature to take apart.
//! - `methods` walks an impl block, `block` reads the closure of `call!`; both make a
//!   `signature::Function` of what they find.
//!
//! - `fragments` sees to what a `macro_rules` puts around the fragments that it inserts.
//!
//! The expansion names only `Work`, `StreamWork` and `__private` of flame-aws, and `core`, `std`, so
//! an app depends on `flame-aws` alone. `options` has the path of it: `::flame_aws`, or what the
//! attribute says; `call!` gives its own `$crate`.

mod attributes;
mod block;
mod expand;
mod fragments;
mod methods;
mod options;
mod refuse;
mod signature;
mod test;

use proc_macro::TokenStream;

/// Marks a function, or the methods of an impl block, as able to run in a copy of the app.
///
/// See `flame_aws::remote`, where it is documented with examples that compile.
#[proc_macro_attribute]
pub fn remote(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let root = options::Root::of_attribute(arguments.into());
    let expanded = root.and_then(|root| remote_item(item.into(), &root));
    expanded.unwrap_or_else(|refusal| refusal.to_compile_error()).into()
}

/// Marks an `async` test whose pools boot real copies under the harness of `cargo test`.
///
/// See `flame_aws::test`, where it is documented with an example that compiles.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = test::expand(arguments.into(), item.into());
    expanded.unwrap_or_else(|refusal| refusal.to_compile_error()).into()
}

/// The block form, behind `call!`: a closure becomes the work of a remote function.
#[doc(hidden)]
#[proc_macro]
pub fn block(closure: TokenStream) -> TokenStream {
    block::expand(closure.into()).unwrap_or_else(|refusal| refusal.to_compile_error()).into()
}

fn remote_item(
    item: proc_macro2::TokenStream,
    root: &options::Root,
) -> syn::Result<proc_macro2::TokenStream> {
    let item = fragments::kept_together(item);
    match syn::parse2(item.clone()) {
        Ok(syn::Item::Fn(function)) => {
            Ok(expand::function(&signature::Function::free(function, root)?).items)
        }
        Ok(syn::Item::Impl(block)) => methods::expand(block, root),
        Ok(other) => Err(refuse::item(&other)),
        Err(error) => Err(refuse::not_an_item(item, error)),
    }
}
