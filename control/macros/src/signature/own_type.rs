//! `Self` in remote functions. The expansion moves the types of a function to other items, where
//! `Self` would have another meaning or none.

use proc_macro2::Span;
use syn::{
    ItemFn, Path, QSelf, Receiver, Signature, Type,
    visit::{self, Visit},
    visit_mut::{self, VisitMut},
};

/// Replaces `Self` by `owner` in the signature of a method.
pub(super) fn replace(signature: &mut Signature, owner: &Type) {
    ReplaceSelf(owner).visit_signature_mut(signature);
}

struct ReplaceSelf<'a>(&'a Type);

impl VisitMut for ReplaceSelf<'_> {
    /// `&self` stays as it is.
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

impl ReplaceSelf<'_> {
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

/// Finds the first `Self` in a function. Items inside the function are skipped: they have a `Self`
/// of their own.
pub(super) fn find(function: &ItemFn) -> Option<Span> {
    let mut finder = FindSelf(None);
    finder.visit_signature(&function.sig);
    finder.visit_block(&function.block);
    finder.0
}

struct FindSelf(Option<Span>);

impl<'ast> Visit<'ast> for FindSelf {
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
