//! What a `macro_rules` puts around the fragments that it inserts: groups without delimiters. They
//! keep `$e * 2` a product where `$e` is `1 + 2`, and they hide what stands in them: a type from
//! `$t:ty` looks like no reference, no stream and no path.
//!
//! The compiler forgets these groups when a macro like this one passes them on. So, before anything
//! is looked at, those that mean something become delimiters that can be seen; and types, once they
//! are read, are opened: of groups, and of the parentheses that people write.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::{
    Expr, Pat, Signature, Type, TypeParamBound,
    punctuated::Punctuated,
    token::{Paren, Plus},
    visit_mut::{self, VisitMut},
};

/// The tokens, with parentheses in place of the groups that mean something.
pub(crate) fn kept_together(tokens: TokenStream) -> TokenStream {
    let kept = tokens.into_iter().map(|token| {
        let TokenTree::Group(group) = token else { return token };
        let (inside, mut span) = (kept_together(group.stream()), group.span());
        let mut delimiter = group.delimiter();
        if delimiter == Delimiter::None && is_more_than_a_term(&inside) {
            delimiter = Delimiter::Parenthesis;
            // Nobody wrote them, so they are no matter for the lint that finds some unnecessary.
            span = Span::mixed_site().located_at(span);
        }
        let mut group = Group::new(delimiter, inside);
        group.set_span(span);
        TokenTree::Group(group)
    });
    kept.collect()
}

/// What an operator, a method or a brace beside it would be part of. Patterns and types in
/// parentheses mean the same without.
fn is_more_than_a_term(tokens: &TokenStream) -> bool {
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
        Err(_) => syn::parse2(tokens.clone()).is_ok_and(|of| is_sum(&of)),
    }
}

/// Opens the types of a signature, and the patterns of its parameters.
pub(crate) fn open_signature(signature: &mut Signature) {
    Open.visit_signature_mut(signature);
    for input in &mut signature.inputs {
        if let syn::FnArg::Typed(typed) = input {
            open_pattern(&mut typed.pat);
        }
    }
}

pub(crate) fn open_type(of: &mut Type) {
    Open.visit_type_mut(of);
}

pub(crate) fn open_pattern(pattern: &mut Pat) {
    while let Pat::Paren(inner) = pattern {
        *pattern = (*inner.pat).clone();
    }
}

/// The expression itself.
pub(crate) fn opened(mut expression: &Expr) -> &Expr {
    loop {
        expression = match expression {
            Expr::Group(inner) => &inner.expr,
            Expr::Paren(inner) if inner.attrs.is_empty() => &inner.expr,
            _ => return expression,
        };
    }
}

struct Open;

impl VisitMut for Open {
    fn visit_type_mut(&mut self, part: &mut Type) {
        while let Some(inner) = inside(part) {
            *part = inner;
        }
        visit_mut::visit_type_mut(self, part);
        match part {
            Type::Reference(reference) => close_sum(&mut reference.elem),
            Type::Ptr(pointer) => close_sum(&mut pointer.elem),
            _ => {}
        }
    }

    /// What is computed, such as the length of an array, means what it says as it stands.
    fn visit_expr_mut(&mut self, _: &mut Expr) {}
}

fn inside(part: &Type) -> Option<Type> {
    match part {
        Type::Group(group) => Some((*group.elem).clone()),
        Type::Paren(paren) => Some((*paren.elem).clone()),
        _ => None,
    }
}

/// `&(dyn A + B)`: without its parentheses it would be `(&dyn A) + B`.
fn close_sum(of: &mut Box<Type>) {
    if is_sum(of) {
        let elem = of.clone();
        **of = Type::Paren(syn::TypeParen { paren_token: Paren::default(), elem });
    }
}

fn is_sum(of: &Type) -> bool {
    let several = |bounds: &Punctuated<TypeParamBound, Plus>| bounds.len() > 1;
    match of {
        Type::TraitObject(object) => several(&object.bounds),
        Type::ImplTrait(opaque) => several(&opaque.bounds),
        _ => false,
    }
}
