//! The option that `#[remote]` and `#[test]` share: the path by which the app knows flame-aws.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Path, Token,
    parse::{Parse, ParseStream},
};

use crate::refuse;

/// The path of flame-aws, for all that the expansion names.
#[derive(Clone)]
pub(crate) struct Root(TokenStream);

impl Root {
    /// The argument of `#[remote(..)]`: `crate = path`, or nothing.
    pub(crate) fn of_attribute(arguments: TokenStream) -> syn::Result<Self> {
        if arguments.is_empty() {
            return Ok(Self::default());
        }
        syn::parse2::<Named>(arguments.clone())
            .map(|Named(path)| path.into())
            .map_err(|error| refuse::arguments(&arguments, &error))
    }
}

/// An app that depends on it by its own name.
impl Default for Root {
    fn default() -> Self {
        Self(quote!(::flame_aws))
    }
}

impl From<Path> for Root {
    fn from(path: Path) -> Self {
        Self(path.into_token_stream())
    }
}

impl ToTokens for Root {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// `crate = path`.
struct Named(Path);

impl Parse for Named {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let _: Token![crate] = input.parse()?;
        let _: Token![=] = input.parse()?;
        let path = input.call(Path::parse_mod_style)?;
        let _: Option<Token![,]> = input.parse()?;
        Ok(Self(path))
    }
}
