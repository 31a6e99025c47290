//! Every error of the macros: what cannot be remote, why, and what to write instead.

use proc_macro2::{Span, TokenStream};
use syn::{
    Error, FnArg, GenericParam, ImplItemFn, Item, ItemImpl, Lifetime, Receiver, Signature,
    TraitItemFn, TypeImplTrait, spanned::Spanned,
};

pub(crate) mod closure;
pub(crate) mod test;
mod types;

pub(crate) use types::{inside_argument, inside_result, reference, unsized_state};

const METHOD: &str = "a remote method needs `#[remote]` on its impl block as well: the macro has to \
                      know the type of `self`";

const BODILESS: &str = "a method without a body cannot be remote, because there is no code to run: put \
                        `#[remote]` on a function that takes the concrete type";

fn at<T>(span: &impl Spanned, message: &str) -> syn::Result<T> {
    Err(Error::new(span.span(), message))
}

const ARGUMENTS: &str = "the only argument of `#[remote]` is `crate = path`, for a crate in which \
                         flame-aws has another name. Set options on the pool, or on the call: \
                         `pool.call(work.timeout(..))`";

/// `#[remote(..)]` with an argument other than `crate = path`.
pub(crate) fn arguments(arguments: &TokenStream, error: &Error) -> Error {
    let mut tokens = arguments.clone().into_iter();
    let starts_well = tokens.next().is_some_and(|first| first.to_string() == "crate");
    if starts_well {
        return Error::new(
            error.span(),
            format!(
                "write the path of flame-aws as in `#[remote(crate = my::flame_aws)]`: {error}"
            ),
        );
    }
    Error::new(arguments.span(), ARGUMENTS)
}

/// `#[remote(..)]` on a method.
pub(crate) fn arguments_of_a_method(arguments: &TokenStream) -> syn::Result<()> {
    if arguments.is_empty() {
        return Ok(());
    }
    if arguments.clone().into_iter().next().is_some_and(|first| first.to_string() == "crate") {
        return at(
            arguments,
            "put `crate = ..` on the `#[remote]` of the impl block: it applies to all of its methods",
        );
    }
    at(arguments, ARGUMENTS)
}

/// An item that is neither a function nor an impl block.
pub(crate) fn item(item: &Item) -> Error {
    match item {
        Item::Trait(item) => Error::new(
            item.trait_token.span(),
            "a trait cannot be remote, because a runner cannot know which implementation to run: put \
             `#[remote]` on a function that takes the concrete type, and call the trait's method \
             there",
        ),
        Item::Verbatim(tokens) if syn::parse2::<TraitItemFn>(tokens.clone()).is_ok() => {
            Error::new(tokens.span(), BODILESS)
        }
        other => Error::new(
            other.span(),
            "put `#[remote]` on a function, or on an impl block and on methods in it",
        ),
    }
}

/// Tokens that are not an item: a method outside its impl block, or a syntax error.
pub(crate) fn not_an_item(tokens: TokenStream, error: Error) -> Error {
    if let Ok(method) = syn::parse2::<ImplItemFn>(tokens.clone()) {
        Error::new(method.sig.ident.span(), METHOD)
    } else {
        error
    }
}

/// Checks an impl block.
pub(crate) fn impl_block(block: &ItemImpl) -> syn::Result<()> {
    if let Some((_, path, _)) = &block.trait_ {
        return at(
            path,
            "the impl of a trait cannot be remote: move the code to a function, or to a method of an \
             inherent impl, make that `#[remote]`, and call it from here",
        );
    }
    if let Some(unsafety) = &block.unsafety {
        return at(unsafety, "a remote impl block cannot be `unsafe`: remove `unsafe`");
    }
    if let Some(parameter) = block.generics.params.first() {
        return at(
            parameter,
            "a remote impl block cannot be generic, because each instantiation would need an entry of \
             its own in the table of remote functions: write it for a concrete type, as in \
             `impl Name<u32>`, or use a function",
        );
    }
    Ok(())
}

/// A remote impl block without a remote method.
pub(crate) fn no_remote_method(block: &ItemImpl) -> Error {
    Error::new(
        block.self_ty.span(),
        "no method of this impl block is remote: put `#[remote]` on each method that may run in a copy \
         of the app",
    )
}

/// Checks a function, apart from its parameters and its result.
pub(crate) fn function(signature: &Signature) -> syn::Result<()> {
    if let Some(token) = &signature.constness {
        return at(
            token,
            "a remote function cannot be `const`: remove `const`, or call the const function from a \
             remote one",
        );
    }
    if let Some(token) = &signature.unsafety {
        return at(
            token,
            "a remote function cannot be `unsafe`, because its arguments come from another process, \
             which cannot uphold the safety contract: write a safe function that checks them",
        );
    }
    if let Some(abi) = &signature.abi {
        return at(
            abi,
            "a remote function cannot be `extern`: write a Rust function that calls the extern one",
        );
    }
    if let Some(variadic) = &signature.variadic {
        return at(variadic, "a remote function cannot be variadic: take a `Vec` instead");
    }
    match signature.generics.params.first() {
        Some(GenericParam::Lifetime(parameter)) => lifetime(&parameter.lifetime),
        Some(parameter) => at(
            parameter,
            "a remote function cannot be generic, because each instantiation would need an entry of its \
             own in the table of remote functions: write one remote function for each type, and call \
             the generic function from it",
        ),
        None => Ok(()),
    }
}

fn lifetime<T>(lifetime: &Lifetime) -> syn::Result<T> {
    at(
        lifetime,
        "a remote function cannot name a lifetime: leave the lifetime out (`&str`), or take an owned \
         value (`String`)",
    )
}

/// `self` in a function outside a remote impl block.
pub(crate) fn method(receiver: &Receiver) -> Error {
    Error::new(receiver.span(), METHOD)
}

/// `Self` in a function outside a remote impl block.
pub(crate) fn own_type(span: Span) -> Error {
    Error::new(
        span,
        "a remote function cannot use `Self` outside a remote impl block: write the type, or put \
         `#[remote]` on the impl block as well",
    )
}

/// Receivers other than `self`, `mut self` and `&self`.
pub(crate) fn receiver(receiver: &Receiver) -> syn::Result<()> {
    if let Some(attribute) = receiver.attrs.iter().find(|a| a.path().is_ident("state")) {
        return at(
            attribute,
            "`self` cannot be `#[state]`: write a function, or a method without `self`, that takes the \
             value as a `#[state]` parameter",
        );
    }
    if let Some((_, Some(named))) = &receiver.reference {
        return lifetime(named);
    }
    if receiver.colon_token.is_some() {
        return at(
            receiver,
            "a remote method takes `self` or `&self`: other kinds of `self` share memory, and a runner \
             does not share the caller's memory",
        );
    }
    if receiver.reference.is_some() && receiver.mutability.is_some() {
        return at(
            receiver,
            "a remote method cannot take `&mut self`, because the runner would change a copy: take \
             `self`, and return the changed value",
        );
    }
    Ok(())
}

/// An attribute of a parameter that the expansion cannot keep.
pub(crate) fn parameter_attributes(argument: &FnArg) -> syn::Result<()> {
    let (FnArg::Typed(syn::PatType { attrs, .. }) | FnArg::Receiver(Receiver { attrs, .. })) =
        argument;
    for attribute in attrs {
        if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
            return at(
                attribute,
                "a parameter of a remote function cannot be conditional: put the `cfg` on the function, \
                 and write one function for each case",
            );
        }
        if attribute.path().is_ident("state") && attribute.meta.require_path_only().is_err() {
            return at(
                attribute,
                "`#[state]` takes no arguments: the type of the parameter selects the state",
            );
        }
    }
    Ok(())
}

/// `-> impl Future`, and `impl Stream` without its item type.
pub(crate) fn opaque_result(opaque: &TypeImplTrait, ends_in: &str) -> Error {
    let message = match ends_in {
        "Future" => "a remote function cannot return `impl Future`: write `async fn`",
        "Stream" => "a remote stream has to name its item type: write `-> impl Stream<Item = T>`",
        _ => {
            "a remote function cannot return `impl Trait`: name the type (only a stream is returned as \
             `impl Stream<Item = T>`)"
        }
    };
    Error::new(opaque.span(), message)
}

/// `async fn .. -> impl Stream`.
pub(crate) fn async_stream(asyncness: &impl Spanned) -> Error {
    Error::new(
        asyncness.span(),
        "a remote stream is a plain `fn` that returns `impl Stream`: remove `async`, and await inside \
         the stream",
    )
}

/// A stream that borrows an argument.
pub(crate) fn borrowing_stream(argument: &impl Spanned) -> Error {
    Error::new(
        argument.span(),
        "a remote stream cannot borrow its arguments, because it outlives the call that makes it: take \
         owned values, `String` for `&str`, `self` for `&self`",
    )
}
