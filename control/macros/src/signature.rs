//! Parses a remote function into the parts that the expansion needs.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{
    Attribute, Block, FnArg, GenericArgument, ItemFn, Pat, PathArguments, ReturnType, Token, Type,
    TypeImplTrait, TypeParamBound, Visibility, ext::IdentExt, parse_quote, spanned::Spanned,
    token::Async,
};

use crate::{
    attributes::{Attributes, BodyPlacement},
    fragments,
    options::CratePath,
    reject,
};

mod own_type;

/// A function that can be remote.
pub(crate) struct RemoteFunction {
    pub(crate) root: CratePath,
    pub(crate) attributes: Attributes,
    pub(crate) visibility: Visibility,
    pub(crate) asyncness: Option<Async>,
    pub(crate) name: Ident,
    /// The path of the function, for messages and for its id: an expression of type `&'static str`.
    pub(crate) path: TokenStream,
    /// The location of the function, as three expressions: file, line, column.
    pub(crate) location: [TokenStream; 3],
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) result: Output,
    /// The result type as written.
    pub(crate) output: ReturnType,
    pub(crate) block: Block,
    /// The type that has the method.
    pub(crate) owner: Option<Type>,
}

/// One parameter.
pub(crate) struct Parameter {
    /// The parameter as written, for the body.
    pub(crate) written: FnArg,
    /// The name of the parameter, or a generated one if it has a pattern.
    pub(crate) name: Ident,
    /// The type, without the reference if the parameter is one.
    pub(crate) of: Type,
    pub(crate) by_reference: bool,
    pub(crate) role: ParameterRole,
}

/// The source of a parameter's value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterRole {
    /// From the caller, as `self`.
    Receiver,
    /// From the caller.
    Argument,
    /// From the app's state, on the side that runs the function.
    State,
}

impl Parameter {
    pub(crate) fn is_sent(&self) -> bool {
        self.role != ParameterRole::State
    }
}

/// The return type of a function.
pub(crate) enum Output {
    One(Type),
    /// A stream of items of this type.
    Stream(Type),
}

impl Output {
    /// The type that is sent: the result, or an item.
    pub(crate) fn sent_type(&self) -> &Type {
        match self {
            Self::One(of) | Self::Stream(of) => of,
        }
    }
}

impl RemoteFunction {
    /// A function outside any impl block.
    pub(crate) fn free(item: ItemFn, root: &CratePath) -> syn::Result<Self> {
        if let Some(span) = own_type::find(&item) {
            return Err(reject::own_type(span));
        }
        let name = item.sig.ident.unraw().to_string();
        let path = quote!(::core::concat!(::core::module_path!(), "::", #name));
        Self::new(item, path, None, root)
    }

    /// A method of `owner`.
    pub(crate) fn method(mut item: ItemFn, owner: &Type, root: &CratePath) -> syn::Result<Self> {
        fragments::ungroup_signature(&mut item.sig);
        own_type::replace(&mut item.sig, owner);
        let name = format!("::{}::{}", text_of(owner), item.sig.ident.unraw());
        let path = quote!(::core::concat!(::core::module_path!(), #name));
        Self::new(item, path, Some(owner.clone()), root)
    }

    /// The closure of a `call!`, as a function. It has no name, so its location identifies it. A
    /// `call!` inside a `macro_rules` has two locations: where that macro is used, and where the
    /// `call!` is written, at `bar`.
    pub(crate) fn block(item: ItemFn, bar: Span, root: &CratePath) -> syn::Result<Self> {
        let [file, line, column] = location(Span::call_site());
        let written = format!("{}:{}", bar.unwrap().line(), bar.unwrap().column());
        let path = quote!(::core::concat!(
            ::core::module_path!(), "::call!(", #file, ":", #line, ":", #column, " ", #written, ")"
        ));
        let function = Self::new(item, path, None, root)?;
        Ok(Self { location: location(Span::call_site()), ..function })
    }

    fn new(
        item: ItemFn,
        path: TokenStream,
        owner: Option<Type>,
        root: &CratePath,
    ) -> syn::Result<Self> {
        let ItemFn { attrs, vis, mut sig, block } = item;
        fragments::ungroup_signature(&mut sig);
        reject::function(&sig)?;
        let parameters = sig
            .inputs
            .into_iter()
            .enumerate()
            .map(|(index, argument)| Parameter::new(index, argument, owner.as_ref()))
            .collect::<syn::Result<Vec<_>>>()?;
        let result = outcome(&sig.output)?;
        if let Output::Stream(_) = result {
            if let Some(asyncness) = &sig.asyncness {
                return Err(reject::async_stream(asyncness));
            }
            if let Some(borrowed) = parameters.iter().find(|p| p.by_reference && p.is_sent()) {
                return Err(reject::borrowing_stream(&borrowed.written));
            }
        }
        let body = if owner.is_some() { BodyPlacement::Beside } else { BodyPlacement::Inside };
        Ok(Self {
            root: root.clone(),
            attributes: Attributes::split(without_remote(attrs), body),
            visibility: vis,
            asyncness: sig.asyncness,
            location: location(sig.ident.span()),
            name: sig.ident,
            path,
            parameters,
            result,
            output: sig.output,
            block: *block,
            owner,
        })
    }

    /// The parameters that are sent to the runner.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Parameter> + Clone {
        self.parameters.iter().filter(|parameter| parameter.is_sent())
    }

    /// The types that are sent, as written. Parent and runner must agree on them and on the path.
    pub(crate) fn text(&self) -> String {
        let arguments = self.arguments().map(|argument| {
            let reference = argument.by_reference.then(<Token![&]>::default);
            let of = &argument.of;
            quote!(#reference #of)
        });
        let result = match &self.result {
            Output::One(of) => of.to_token_stream(),
            Output::Stream(of) => quote!(impl Stream<Item = #of>),
        };
        quote!((#(#arguments),*) -> #result).to_string()
    }
}

impl Parameter {
    fn new(index: usize, mut written: FnArg, owner: Option<&Type>) -> syn::Result<Self> {
        reject::parameter_attributes(&written)?;
        match &mut written {
            FnArg::Receiver(receiver) => {
                let Some(owner) = owner else { return Err(reject::method(receiver)) };
                reject::receiver(receiver)?;
                let by_reference = receiver.reference.is_some();
                let name = Ident::new("__flame_self", receiver.self_token.span());
                let of = owner.clone();
                Ok(Self { written, name, of, by_reference, role: ParameterRole::Receiver })
            }
            FnArg::Typed(typed) => {
                let is_state = typed.attrs.iter().any(|a| a.path().is_ident("state"));
                typed.attrs.retain(|a| !a.path().is_ident("state"));
                let name = match &*typed.pat {
                    Pat::Ident(pat) if pat.subpat.is_none() => pat.ident.clone(),
                    pattern => format_ident!("argument_{index}", span = pattern.span()),
                };
                let (of, by_reference) = match &*typed.ty {
                    Type::Reference(reference) => {
                        if is_state {
                            reject::unsized_state(&reference.elem)?;
                        }
                        reject::reference(reference)?;
                        ((*reference.elem).clone(), true)
                    }
                    of => (of.clone(), false),
                };
                reject::inside_argument(&of)?;
                let role = if is_state { ParameterRole::State } else { ParameterRole::Argument };
                Ok(Self { written, name, of, by_reference, role })
            }
        }
    }
}

fn without_remote(mut attributes: Vec<Attribute>) -> Vec<Attribute> {
    attributes.retain(|attribute| !is_remote(attribute));
    attributes
}

/// Whether the attribute is `#[remote]`, with any path.
pub(crate) fn is_remote(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident == "remote")
}

fn outcome(output: &ReturnType) -> syn::Result<Output> {
    let of: Type = match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, of) => (**of).clone(),
    };
    if let Type::ImplTrait(opaque) = &of {
        let item = stream_item(opaque)?;
        reject::inside_result(&item)?;
        return Ok(Output::Stream(item));
    }
    reject::inside_result(&of)?;
    Ok(Output::One(of))
}

/// The `T` of `impl Stream<Item = T>`.
fn stream_item(opaque: &TypeImplTrait) -> syn::Result<Type> {
    let mut last = String::new();
    for bound in &opaque.bounds {
        let TypeParamBound::Trait(bound) = bound else { continue };
        let Some(segment) = bound.path.segments.last() else { continue };
        last = segment.ident.to_string();
        if last != "Stream" {
            continue;
        }
        let PathArguments::AngleBracketed(arguments) = &segment.arguments else { break };
        let item = arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(item) if item.ident == "Item" => Some(item.ty.clone()),
            _ => None,
        });
        if let Some(item) = item {
            return Ok(item);
        }
        break;
    }
    Err(reject::opaque_result(opaque, &last))
}

/// The location of `span`, as macro calls with that span: file, line, column.
fn location(span: Span) -> [TokenStream; 3] {
    [
        quote::quote_spanned!(span=> ::core::file!()),
        quote::quote_spanned!(span=> ::core::line!()),
        quote::quote_spanned!(span=> ::core::column!()),
    ]
}

/// The type as a programmer writes it: `Name<u32>`, not `Name < u32 >`.
fn text_of(of: &Type) -> String {
    of.to_token_stream().to_string().replace(' ', "")
}
