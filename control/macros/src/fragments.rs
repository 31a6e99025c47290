//! Handles the invisible groups that a `macro_rules` macro puts around the fragments that it
//! inserts. With such a group, `$e * 2` means `(1 + 2) * 2` if `$e` is `1 + 2`. A group also hides
//! its content: a type from `$t:ty` does not look like a reference, a stream or a path.
//!
//! The compiler drops these groups when a procedural macro emits them again. So this module first
//! replaces each group by parentheses where they are needed to keep the meaning. After parsing, it
//! removes groups and parentheses around types.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::{
    Expr, Pat, Signature, Type, TypeParamBound,
    punctuated::Punctuated,
    token::{Paren, Plus},
    visit_mut::{self, VisitMut},
};

/// Replaces invisible groups by parentheses where they are needed to keep the meaning.
pub(crate) fn parenthesize_groups(tokens: TokenStream) -> TokenStream {
    let kept = tokens.into_iter().map(|token| {
        let TokenTree::Group(group) = token else { return token };
        let (inside, mut span) = (parenthesize_groups(group.stream()), group.span());
        let mut delimiter = group.delimiter();
        if delimiter == Delimiter::None && needs_parentheses(&inside) {
            delimiter = Delimiter::Parenthesis;
            // The app did not write these parentheses, so the lint for unnecessary ones must not
            // apply.
            span = Span::mixed_site().located_at(span);
        }
        let mut group = Group::new(delimiter, inside);
        group.set_span(span);
        TokenTree::Group(group)
    });
    kept.collect()
}

/// Whether an operator, a method call or a brace next to the tokens would change their meaning.
/// Patterns and most types mean the same without parentheses.
fn needs_parentheses(tokens: &TokenStream) -> bool {
    match syn::parse2(tokens.clone()) {
        Ok(expression) => matches!(
            expression,
            Expr::Binary(_)
                | Expr::Cast(_)
                | Expr::Closure(_)
                | Expr::Range(_)
                | Expr::RawAddr(_)
                | Expr::Reference(_)
                | Expr::Struct(_)
                | Expr::Unary(_)
        ),
        Err(_) => syn::parse2(tokens.clone()).is_ok_and(|of| has_several_bounds(&of)),
    }
}

/// Removes groups and parentheses from the types of a signature and from the patterns of its
/// parameters.
pub(crate) fn ungroup_signature(signature: &mut Signature) {
    UngroupTypes.visit_signature_mut(signature);
    for input in &mut signature.inputs {
        if let syn::FnArg::Typed(typed) = input {
            ungroup_pattern(&mut typed.pat);
        }
    }
}

pub(crate) fn ungroup_type(of: &mut Type) {
    UngroupTypes.visit_type_mut(of);
}

pub(crate) fn ungroup_pattern(pattern: &mut Pat) {
    while let Pat::Paren(inner) = pattern {
        *pattern = (*inner.pat).clone();
    }
}

/// The expression without groups and parentheses around it.
pub(crate) fn ungrouped(mut expression: &Expr) -> &Expr {
    loop {
        expression = match expression {
            Expr::Group(inner) => &inner.expr,
            Expr::Paren(inner) if inner.attrs.is_empty() => &inner.expr,
            _ => return expression,
        };
    }
}

/// Removes groups and parentheses around types.
struct UngroupTypes;

impl VisitMut for UngroupTypes {
    fn visit_type_mut(&mut self, part: &mut Type) {
        while let Some(inner) = inside(part) {
            *part = inner;
        }
        visit_mut::visit_type_mut(self, part);
        match part {
            Type::Reference(reference) => parenthesize_bounds(&mut reference.elem),
            Type::Ptr(pointer) => parenthesize_bounds(&mut pointer.elem),
            _ => {}
        }
    }

    /// Leaves expressions as they are, such as the length of an array.
    fn visit_expr_mut(&mut self, _: &mut Expr) {}
}

fn inside(part: &Type) -> Option<Type> {
    match part {
        Type::Group(group) => Some((*group.elem).clone()),
        Type::Paren(paren) => Some((*paren.elem).clone()),
        _ => None,
    }
}

/// `&(dyn A + B)` needs its parentheses: without them it would be `(&dyn A) + B`.
fn parenthesize_bounds(of: &mut Box<Type>) {
    if has_several_bounds(of) {
        let elem = of.clone();
        **of = Type::Paren(syn::TypeParen { paren_token: Paren::default(), elem });
    }
}

fn has_several_bounds(of: &Type) -> bool {
    let several = |bounds: &Punctuated<TypeParamBound, Plus>| bounds.len() > 1;
    match of {
        Type::TraitObject(object) => several(&object.bounds),
        Type::ImplTrait(opaque) => several(&opaque.bounds),
        _ => false,
    }
}
