//! `call!`: `call!(async |a: A, b: B| -> R { .. })` is the work of a function with that body,
//! called with the local variables of the same names.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{
    Attribute, Error, Expr, ExprClosure, FnArg, ItemFn, Pat, PatType, Path, ReturnType, Token,
    parse::{Parse, ParseStream},
    parse_quote,
    spanned::Spanned,
    token,
};

use crate::{expand, fragments, options::CratePath, reject, signature::RemoteFunction};

/// The tokens from `call!`: its `$crate`, and the closure.
struct Input {
    root: CratePath,
    block: TokenStream,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let root = input.call(Path::parse_mod_style)?.into();
        let _: Token![;] = input.parse()?;
        Ok(Self { root, block: input.parse()? })
    }
}

/// A closure, with an optional comma behind it.
struct Closure(ExprClosure);

impl Parse for Closure {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let closure = if input.peek(token::Group) || input.peek(token::Paren) {
            // A fragment of a `macro_rules`.
            let expression: Expr = input.parse()?;
            match fragments::ungrouped(&expression) {
                Expr::Closure(closure) => closure.clone(),
                other => return Err(Error::new(other.span(), "expected `|`")),
            }
        } else {
            input.parse()?
        };
        let _: Option<Token![,]> = input.parse()?;
        Ok(Self(closure))
    }
}

pub(crate) fn expand(tokens: TokenStream) -> syn::Result<TokenStream> {
    let Input { root, block } = syn::parse2(tokens)?;
    let Closure(mut closure) = syn::parse2(fragments::parenthesize_groups(block))
        .map_err(|error| reject::closure::not_a_closure(&error))?;
    for input in &mut closure.inputs {
        if let Pat::Type(typed) = input {
            fragments::ungroup_pattern(&mut typed.pat);
        }
    }
    reject::closure::modifiers(&closure)?;
    let body = match (fragments::ungrouped(&closure.body), &closure.output) {
        (Expr::Block(body), _) if body.label.is_none() && body.attrs.is_empty() => {
            body.block.clone()
        }
        _ => return Err(reject::closure::no_type(&closure)),
    };
    let parameters =
        closure.inputs.iter().map(parameter).collect::<syn::Result<Vec<(PatType, Ident)>>>()?;
    let inputs = parameters.iter().map(|(typed, _)| FnArg::Typed(typed.clone()));
    let given = parameters.iter().filter(|(typed, _)| !is_state(&typed.attrs)).map(|(_, n)| n);

    let name = Ident::new("__flame_block", Span::call_site());
    let (asyncness, output) = (&closure.asyncness, &closure.output);
    let output = match output {
        ReturnType::Default => quote!(),
        ReturnType::Type(..) => quote!(#output),
    };
    let call = quote!(#name(#(#given),*));
    let function: ItemFn = parse_quote!(#asyncness fn #name(#(#inputs),*) #output #body);
    let function =
        expand::function(&RemoteFunction::block(function, closure.or1_token.span(), &root)?).items;
    Ok(quote!({ #function #call }))
}

/// A parameter, and the local variable that is passed to it.
fn parameter(parameter: &Pat) -> syn::Result<(PatType, Ident)> {
    let Pat::Type(typed) = parameter else { return Err(reject::closure::untyped(parameter)) };
    match &*typed.pat {
        Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
            Ok((typed.clone(), name.ident.clone()))
        }
        _ => Err(reject::closure::pattern(&typed.pat)),
    }
}

fn is_state(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("state"))
}
