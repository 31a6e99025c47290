//! Expands `#[test]` on an `async` test.
//!
//! ```text
//!   #[flame_aws::test]               #[test]
//!   async fn a_test() -> R {         fn a_test() -> R {
//!       ..                   ===>        async fn a_test() -> R { .. }
//!   }                                    run_test("crate::module::a_test", app, a_test())
//!                                    }
//! ```
//!
//! The name is the path of the crate, followed by the name that the test harness uses for the test.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Expr, ItemFn, LitInt, Path, Token};

use crate::{options::CratePath, reject};

/// The options of the attribute.
#[derive(Default)]
struct TestOptions {
    root: Option<CratePath>,
    app: Option<Expr>,
    worker_threads: Option<LitInt>,
}

impl Parse for TestOptions {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let name: Ident = input.call(Ident::parse_any)?;
            if !input.peek(Token![=]) {
                return Err(reject::test::option(&name));
            }
            let _: Token![=] = input.parse()?;
            let is_repeated = match name.to_string().as_str() {
                "crate" => {
                    let path = input
                        .call(Path::parse_mod_style)
                        .map_err(|error| reject::test::root(&error))?;
                    options.root.replace(path.into()).is_some()
                }
                "app" => options.app.replace(input.parse()?).is_some(),
                "worker_threads" => options.worker_threads.replace(threads(input)?).is_some(),
                _ => return Err(reject::test::option(&name)),
            };
            if is_repeated {
                return Err(reject::test::twice(&name));
            }
            if !input.is_empty() {
                let _: Token![,] = input.parse()?;
            }
        }
        Ok(options)
    }
}

fn threads(input: ParseStream<'_>) -> syn::Result<LitInt> {
    let value: Expr = input.parse()?;
    match &value {
        Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Int(count) if count.base10_parse::<usize>().is_ok_and(|count| count > 0) => {
                Ok(count.clone())
            }
            _ => Err(reject::test::threads(&value)),
        },
        _ => Err(reject::test::threads(&value)),
    }
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let options: TestOptions = syn::parse2(arguments)?;
    let test: ItemFn = syn::parse2(item).map_err(|error| reject::test::item(&error))?;
    reject::test::function(&test)?;
    let ItemFn { attrs, vis, sig, block } = test;
    let (name, output) = (&sig.ident, &sig.output);
    let path = printed_name(name);
    let root = options.root.unwrap_or_default();
    let workers = match options.worker_threads {
        Some(count) => quote!(::core::option::Option::Some(#count)),
        None => quote!(::core::option::Option::None),
    };
    let app = match options.app {
        Some(app) => quote_spanned! {app.span()=> async { let app: #root::App = #app; app } },
        None => quote!(async { #root::App::new() }),
    };
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #name() #output {
            // Has the name of the test, for spans and backtraces.
            async fn #name() #output #block
            #root::__private::run_test(
                ::core::concat!(::core::module_path!(), "::", #path),
                #workers,
                #app,
                #name(),
            )
        }
    })
}

/// The name as the compiler prints it: with `r#` only if it is a keyword.
fn printed_name(name: &Ident) -> String {
    let plain = name.unraw().to_string();
    if syn::parse_str::<Ident>(&plain).is_ok() { plain } else { name.to_string() }
}
