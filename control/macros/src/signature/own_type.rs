//! `Self`. The expansion puts a function's types into items of their own, where `Self` would mean
//! something else or nothing.

use proc_macro2::Span;
use syn::{
    ItemFn, Path, QSelf, Receiver, Signature, Type,
    visit::{self, Visit},
    visit_mut::{self, VisitMut},
};

/// Puts `owner` in the place of `Self` in a method's signature.
pub(super) fn name(signature: &mut Signature, owner: &Type) {
    Name(owner).visit_signature_mut(signature);
}

struct Name<'a>(&'a Type);

impl VisitMut for Name<'_> {
    /// `&self` says `Self` by itself, and stays as it is.
    fn visit_receiver_mut(&mut self, _: &mut Receiver) {}

    fn visit_type_mut(&mut self, part: &mut Type) {
        if let Type::Path(path) = part
            && path.qself.is_none()
            && path.path.is_ident("Self")
        {
            *part = self.0.clone();
            return;
        }
        if let Type::Path(path) = part {
            self.qualify(&mut path.qself, &mut path.path);
        }
        visit_mut::visit_type_mut(self, part);
    }

    fn visit_expr_path_mut(&mut self, part: &mut syn::ExprPath) {
        self.qualify(&mut part.qself, &mut part.path);
        visit_mut::visit_expr_path_mut(self, part);
    }
}

impl Name<'_> {
    /// `Self::Rest` becomes `<Owner>::Rest`.
    fn qualify(&self, qself: &mut Option<QSelf>, path: &mut Path) {
        let is_own = path.segments.first().is_some_and(|first| first.ident == "Self");
        if qself.is_some() || !is_own || path.segments.len() < 2 {
            return;
        }
        let rest: Vec<_> = std::mem::take(&mut path.segments).into_iter().skip(1).collect();
        path.leading_colon = Some(<syn::Token![::]>::default());
        path.segments = rest.into_iter().collect();
        *qself = Some(QSelf {
            lt_token: <syn::Token![<]>::default(),
            ty: Box::new(self.0.clone()),
            position: 0,
            as_token: None,
            gt_token: <syn::Token![>]>::default(),
        });
    }
}

/// The first `Self` in a function, items inside it aside: those have their own.
pub(super) fn find(function: &ItemFn) -> Option<Span> {
    let mut find = Find(None);
    find.visit_signature(&function.sig);
    find.visit_block(&function.block);
    find.0
}

struct Find(Option<Span>);

impl<'ast> Visit<'ast> for Find {
    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_receiver(&mut self, _: &'ast Receiver) {}

    fn visit_path(&mut self, path: &'ast Path) {
        if let Some(first) = path.segments.first()
            && first.ident == "Self"
        {
            self.0.get_or_insert(first.ident.span());
        }
        visit::visit_path(self, path);
    }
}
