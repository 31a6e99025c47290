//! Distributes the attributes of a remote function: some belong to the function that the app calls,
//! some to the body that runs, and some to both.

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Meta, Token, parse::Parser, parse_quote, punctuated::Punctuated};

/// The attributes of one remote function, distributed.
#[derive(Default)]
pub(crate) struct Attributes {
    /// On the function that the app calls, which returns the work.
    pub(crate) outer: Vec<Attribute>,
    /// On the function with the app's code.
    pub(crate) body: Vec<Attribute>,
}

/// Whether the body is inside the outer function, and inherits its lint levels, or beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyPlacement {
    Inside,
    Beside,
}

impl Attributes {
    pub(crate) fn split(attributes: Vec<Attribute>, body: BodyPlacement) -> Self {
        let mut split = Self::default();
        for attribute in attributes {
            split.add(attribute, body);
        }
        split
    }

    fn add(&mut self, attribute: Attribute, body: BodyPlacement) {
        let name = attribute.path().get_ident().map(ToString::to_string).unwrap_or_default();
        let beside = body == BodyPlacement::Beside;
        match name.as_str() {
            "doc" | "deprecated" => self.outer.push(attribute),
            // A `must_use` without a reason would only repeat the `must_use` of `Work`.
            "must_use" if matches!(attribute.meta, Meta::Path(_)) => {}
            "must_use" => self.outer.push(attribute),
            "cfg" | "cfg_attr" | "allow" | "warn" | "deny" | "forbid" => {
                if beside {
                    self.body.push(attribute.clone());
                }
                self.outer.push(attribute);
            }
            // Expected on the body, and allowed on the outer function: an expectation on both would
            // be unfulfilled on one of them.
            "expect" if beside => {
                if let Meta::List(list) = &attribute.meta {
                    let lints = &list.tokens;
                    self.outer.push(parse_quote!(#[allow(#lints)]));
                }
                self.body.push(attribute);
            }
            "expect" => self.outer.push(attribute),
            _ => self.body.push(attribute),
        }
    }
}

/// The attributes of an item that also apply to the items generated beside it: its `cfg` and its
/// lint levels.
pub(crate) fn shared(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter_map(|attribute| shared_meta(&attribute.meta)).collect()
}

fn shared_meta(meta: &Meta) -> Option<Attribute> {
    let Meta::List(list) = meta else { return None };
    let inside = &list.tokens;
    match meta.path().get_ident()?.to_string().as_str() {
        "cfg" | "allow" | "warn" | "deny" | "forbid" => Some(parse_quote!(#[#meta])),
        // Expected only on the item itself.
        "expect" => Some(parse_quote!(#[allow(#inside)])),
        "cfg_attr" => {
            let mut tokens = inside.clone().into_iter();
            let comma =
                |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
            let condition: TokenStream =
                tokens.by_ref().take_while(|token| !comma(token)).collect();
            let given = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens.collect());
            let around = given.ok()?;
            let around = around.iter().filter_map(shared_meta).map(|attribute| attribute.meta);
            let around: Vec<_> = around.collect();
            (!around.is_empty()).then(|| parse_quote!(#[cfg_attr(#condition, #(#around),*)]))
        }
        _ => None,
    }
}
