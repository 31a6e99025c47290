//! Dealing a function's attributes out: some belong to the function that the app calls, some to
//! the body that runs, some to both.

use syn::{Attribute, Meta, parse_quote};

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
