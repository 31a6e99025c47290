//! The option that `#[remote]` and `#[test]` share: the path of flame-aws in the app.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Path, Token,
    parse::{Parse, ParseStream},
};

use crate::reject;

/// The path of flame-aws, in front of every name in the expansion.
#[derive(Clone)]
pub(crate) struct CratePath(TokenStream);

impl CratePath {
    /// Parses the argument of `#[remote(..)]`: `crate = path`, or nothing.
    pub(crate) fn of_attribute(arguments: TokenStream) -> syn::Result<Self> {
        if arguments.is_empty() {
            return Ok(Self::default());
        }
        syn::parse2::<CrateOption>(arguments.clone())
            .map(|CrateOption(path)| path.into())
            .map_err(|error| reject::arguments(&arguments, &error))
    }
}

/// The path in an app that has not renamed flame-aws.
impl Default for CratePath {
    fn default() -> Self {
        Self(quote!(::flame_aws))
    }
}

impl From<Path> for CratePath {
    fn from(path: Path) -> Self {
        Self(path.into_token_stream())
    }
}

impl ToTokens for CratePath {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// `crate = path`.
struct CrateOption(Path);

impl Parse for CrateOption {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let _: Token![crate] = input.parse()?;
        let _: Token![=] = input.parse()?;
        let path = input.call(Path::parse_mod_style)?;
        let _: Option<Token![,]> = input.parse()?;
        Ok(Self(path))
    }
}
