//! Dealing a function's attributes out: some belong to the function that the app calls, some to
//! the body that runs, some to both.

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Meta, Token, parse::Parser, parse_quote, punctuated::Punctuated};

/// The attributes of one remote function, dealt out.
#[derive(Default)]
pub(crate) struct Attributes {
    /// On the function that gives the work.
    pub(crate) outer: Vec<Attribute>,
    /// On the function with the app's code.
    pub(crate) body: Vec<Attribute>,
}

/// Whether the body stands inside the outer function, whose lint levels it then inherits, or
/// beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Inside,
    Beside,
}

impl Attributes {
    pub(crate) fn deal(attributes: Vec<Attribute>, body: Body) -> Self {
        let mut dealt = Self::default();
        for attribute in attributes {
            dealt.add(attribute, body);
        }
        dealt
    }

    fn add(&mut self, attribute: Attribute, body: Body) {
        let name = attribute.path().get_ident().map(ToString::to_string).unwrap_or_default();
        let beside = body == Body::Beside;
        match name.as_str() {
            "doc" | "deprecated" => self.outer.push(attribute),
            // The bare form would only repeat what `Work` says of itself.
            "must_use" if matches!(attribute.meta, Meta::Path(_)) => {}
            "must_use" => self.outer.push(attribute),
            "cfg" | "cfg_attr" | "allow" | "warn" | "deny" | "forbid" => {
                if beside {
                    self.body.push(attribute.clone());
                }
                self.outer.push(attribute);
            }
            // Expected of the body, and no more than allowed of what stands around it: an
            // expectation on both would be unfulfilled on one.
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

/// Those of an item's attributes that hold for what stands beside it, too: whether it is there at
/// all, and its lint levels.
pub(crate) fn around(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter_map(|attribute| around_meta(&attribute.meta)).collect()
}

fn around_meta(meta: &Meta) -> Option<Attribute> {
    let Meta::List(list) = meta else { return None };
    let inside = &list.tokens;
    match meta.path().get_ident()?.to_string().as_str() {
        "cfg" | "allow" | "warn" | "deny" | "forbid" => Some(parse_quote!(#[#meta])),
        // Expected of the item alone.
        "expect" => Some(parse_quote!(#[allow(#inside)])),
        "cfg_attr" => {
            let mut tokens = inside.clone().into_iter();
            let comma =
                |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
            let condition: TokenStream =
                tokens.by_ref().take_while(|token| !comma(token)).collect();
            let given = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens.collect());
            let around = given.ok()?;
            let around = around.iter().filter_map(around_meta).map(|attribute| attribute.meta);
            let around: Vec<_> = around.collect();
            (!around.is_empty()).then(|| parse_quote!(#[cfg_attr(#condition, #(#around),*)]))
        }
        _ => None,
    }
}
