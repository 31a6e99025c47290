//! Types that cannot cross between parent and runner.

use proc_macro2::Span;
use syn::{
    Error, Lifetime, Type, TypeImplTrait, TypeReference, TypeTraitObject,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{at, lifetime};

/// Checks a parameter that is a reference.
pub(crate) fn reference(reference: &TypeReference) -> syn::Result<()> {
    if reference.mutability.is_some() {
        return at(
            reference,
            "a remote function cannot take `&mut`, because the runner would change a copy: take the \
             value, and return the changed value",
        );
    }
    match &reference.lifetime {
        Some(named) if named.ident == "static" => at(
            named,
            "a runner cannot make a `&'static` argument: remove `'static`, or take an owned value",
        ),
        Some(named) => lifetime(named),
        None => trait_object(&reference.elem),
    }
}

/// `Type::Paren` only remains around a trait object with several bounds.
fn trait_object(of: &Type) -> syn::Result<()> {
    match of {
        Type::TraitObject(object) => reject_trait_object(object),
        Type::Paren(several) => trait_object(&several.elem),
        _ => Ok(()),
    }
}

fn reject_trait_object(object: &TypeTraitObject) -> syn::Result<()> {
    at(
        object,
        "a trait object cannot be sent to a runner, because the runner cannot know the type behind it: \
         name the type, or take an enum of all possible types",
    )
}

/// Checks a `#[state]` parameter that is a reference.
pub(crate) fn unsized_state(state: &Type) -> syn::Result<()> {
    match state {
        Type::TraitObject(object) => at(
            object,
            "a `#[state]` parameter cannot be a reference to a trait object: take `Arc<dyn ..>`, and \
             register the state as an `Arc<dyn ..>`",
        ),
        Type::Slice(slice) => {
            at(slice, "a `#[state]` parameter cannot be a slice: take `Vec<..>` or `Arc<[..]>`")
        }
        Type::Path(path) if path.path.is_ident("str") => at(
            path,
            "a `#[state]` parameter cannot be a `&str`: define a type that holds a `String`, and take that",
        ),
        Type::Paren(several) => unsized_state(&several.elem),
        _ => Ok(()),
    }
}

/// Checks the type of an argument for references, `impl Trait` and lifetimes inside it.
pub(crate) fn inside_argument(argument: &Type) -> syn::Result<()> {
    check_inside(
        argument,
        "a reference inside another type cannot be sent to a runner: take an owned value \
         (`Option<String>` for `Option<&str>`)",
        "a parameter of a remote function cannot be `impl Trait`: name the type",
    )
}

/// Checks the type of a result for references, `impl Trait` and lifetimes.
pub(crate) fn inside_result(result: &Type) -> syn::Result<()> {
    check_inside(
        result,
        "a remote function cannot return a reference, because the runner does not share the caller's \
         memory: return `String` for `&str`, `Vec<T>` for `&[T]`",
        "a remote function cannot return `impl Trait` inside another type: name the type (a stream is \
         returned on its own, as `impl Stream<Item = T>`)",
    )
}

fn check_inside(of: &Type, references: &'static str, opaque: &'static str) -> syn::Result<()> {
    let mut check = InsideCheck { references, opaque, error: None };
    check.visit_type(of);
    check.error.map_or(Ok(()), Err)
}

struct InsideCheck {
    references: &'static str,
    opaque: &'static str,
    error: Option<Error>,
}

impl InsideCheck {
    /// Keeps only the first error, which is about the outermost type.
    fn reject(&mut self, span: Span, message: &str) {
        self.error.get_or_insert_with(|| Error::new(span, message));
    }
}

impl<'ast> Visit<'ast> for InsideCheck {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.reject(reference.span(), self.references);
    }

    fn visit_type_impl_trait(&mut self, opaque: &'ast TypeImplTrait) {
        self.reject(opaque.span(), self.opaque);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.reject(lifetime.span(), self.references);
        }
    }

    fn visit_type(&mut self, part: &'ast Type) {
        if let Type::Never(never) = part {
            self.reject(
                never.span(),
                "a remote function cannot return `!`: return `()`, and stop the function by dropping the \
                 call",
            );
        }
        visit::visit_type(self, part);
    }
}
