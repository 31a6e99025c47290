//! Errors about the closure of `call!`.

use syn::{Error, ExprClosure, Pat, spanned::Spanned};

use super::at;

/// Tokens that are not a closure.
pub(crate) fn not_a_closure(error: &Error) -> Error {
    Error::new(
        error.span(),
        format!("`call!` takes a closure, as in `async |a: A, b: B| -> R {{ .. }}`: {error}"),
    )
}

/// Checks for `move`, `static`, `const` and `for<..>`.
pub(crate) fn modifiers(closure: &ExprClosure) -> syn::Result<()> {
    if let Some(token) = &closure.capture {
        return at(
            token,
            "remove `move`: the closure of `call!` captures nothing, and its parameters are moved anyway",
        );
    }
    if let Some(lifetimes) = &closure.lifetimes {
        return at(lifetimes, "the closure of `call!` cannot name lifetimes: remove them");
    }
    if let Some(token) = &closure.movability {
        return at(token, "the closure of `call!` cannot be `static`: remove `static`");
    }
    if let Some(token) = &closure.constness {
        return at(token, "the closure of `call!` cannot be `const`: remove `const`");
    }
    Ok(())
}

/// A parameter without a type.
pub(crate) fn untyped(parameter: &Pat) -> Error {
    Error::new(
        parameter.span(),
        "write the type of the parameter, as in `|video: Video|`: the closure becomes a function, and \
         Rust does not infer the types of a function",
    )
}

/// A parameter that is not the name of a variable.
pub(crate) fn pattern(parameter: &Pat) -> Error {
    Error::new(
        parameter.span(),
        "a parameter of this closure has to be the name of a local variable: destructure the value \
         inside the closure",
    )
}

/// A closure without a return type, or without braces.
pub(crate) fn no_type(closure: &ExprClosure) -> Error {
    Error::new(
        closure.or2_token.span(),
        "write the return type and the braces of the closure, as in `|..| -> T { .. }`",
    )
}
