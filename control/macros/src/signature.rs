//! A remote function taken apart: what the expansion needs to know of it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{
    Attribute, Block, FnArg, GenericArgument, ItemFn, Pat, PathArguments, ReturnType, Token, Type,
    TypeImplTrait, TypeParamBound, Visibility, ext::IdentExt, parse_quote, spanned::Spanned,
    token::Async,
};

use crate::{
    attributes::{Attributes, Body},
    fragments,
    options::Root,
    refuse,
};

mod own_type;

/// A function that can be remote.
pub(crate) struct Function {
    pub(crate) root: Root,
    pub(crate) attributes: Attributes,
    pub(crate) visibility: Visibility,
    pub(crate) asyncness: Option<Async>,
    pub(crate) name: Ident,
    /// The function's name for people and for the wire, an expression of `&'static str`.
    pub(crate) path: TokenStream,
    /// Where it is, three expressions: file, line, column.
    pub(crate) location: [TokenStream; 3],
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) result: Outcome,
    /// The result as written.
    pub(crate) output: ReturnType,
    pub(crate) block: Block,
    /// The type it is a method of.
    pub(crate) owner: Option<Type>,
}

/// One parameter.
pub(crate) struct Parameter {
    /// As written, for the body.
    pub(crate) written: FnArg,
    /// A name of its own, whatever its pattern.
    pub(crate) name: Ident,
    /// The type: behind the reference, if it is one.
    pub(crate) of: Type,
    pub(crate) by_reference: bool,
    pub(crate) role: Role,
}

/// Where a parameter's value comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The caller: it is `self`, and crosses.
    Receiver,
    /// The caller: it crosses.
    Argument,
    /// The app, on the side that runs the function.
    State,
}

impl Parameter {
    pub(crate) fn crosses(&self) -> bool {
        self.role != Role::State
    }
}

/// What a function gives.
pub(crate) enum Outcome {
    One(Type),
    /// A stream of items of this type.
    Stream(Type),
}

impl Outcome {
    /// What crosses: the result, or an item.
    pub(crate) fn of(&self) -> &Type {
        match self {
            Self::One(of) | Self::Stream(of) => of,
        }
    }
}

impl Function {
    /// A function outside any impl block.
    pub(crate) fn free(item: ItemFn, root: &Root) -> syn::Result<Self> {
        if let Some(span) = own_type::find(&item) {
            return Err(refuse::own_type(span));
        }
        let name = item.sig.ident.unraw().to_string();
        let path = quote!(::core::concat!(::core::module_path!(), "::", #name));
        Self::new(item, path, None, root)
    }

    /// A method of `owner`.
    pub(crate) fn method(mut item: ItemFn, owner: &Type, root: &Root) -> syn::Result<Self> {
        fragments::open_signature(&mut item.sig);
        own_type::name(&mut item.sig, owner);
        let name = format!("::{}::{}", text_of(owner), item.sig.ident.unraw());
        let path = quote!(::core::concat!(::core::module_path!(), #name));
        Self::new(item, path, Some(owner.clone()), root)
    }

    /// The block of a `call!`, as a function. It has no name, so its place names it. A `call!` that
    /// stands in a `macro_rules` has two places: where that is used, and, at `bar`, where it is
    /// written.
    pub(crate) fn block(item: ItemFn, bar: Span, root: &Root) -> syn::Result<Self> {
        let [file, line, column] = location(Span::call_site());
        let written = format!("{}:{}", bar.unwrap().line(), bar.unwrap().column());
        let path = quote!(::core::concat!(
            ::core::module_path!(), "::call!(", #file, ":", #line, ":", #column, " ", #written, ")"
        ));
        let function = Self::new(item, path, None, root)?;
        Ok(Self { location: location(Span::call_site()), ..function })
    }

    fn new(item: ItemFn, path: TokenStream, owner: Option<Type>, root: &Root) -> syn::Result<Self> {
        let ItemFn { attrs, vis, mut sig, block } = item;
        fragments::open_signature(&mut sig);
        refuse::function(&sig)?;
        let parameters = sig
            .inputs
            .into_iter()
            .enumerate()
            .map(|(index, argument)| Parameter::new(index, argument, owner.as_ref()))
            .collect::<syn::Result<Vec<_>>>()?;
        let result = outcome(&sig.output)?;
        if let Outcome::Stream(_) = result {
            if let Some(asyncness) = &sig.asyncness {
                return Err(refuse::async_stream(asyncness));
            }
            if let Some(borrowed) = parameters.iter().find(|p| p.by_reference && p.crosses()) {
                return Err(refuse::borrowing_stream(&borrowed.written));
            }
        }
        let body = if owner.is_some() { Body::Beside } else { Body::Inside };
        Ok(Self {
            root: root.clone(),
            attributes: Attributes::deal(without_remote(attrs), body),
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

    /// The parameters that cross.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Parameter> + Clone {
        self.parameters.iter().filter(|parameter| parameter.crosses())
    }

    /// The types that cross, as written: what a call must agree on besides the name.
    pub(crate) fn text(&self) -> String {
        let arguments = self.arguments().map(|argument| {
            let reference = argument.by_reference.then(<Token![&]>::default);
            let of = &argument.of;
            quote!(#reference #of)
        });
        let result = match &self.result {
            Outcome::One(of) => of.to_token_stream(),
            Outcome::Stream(of) => quote!(impl Stream<Item = #of>),
        };
        quote!((#(#arguments),*) -> #result).to_string()
    }
}

impl Parameter {
    fn new(index: usize, mut written: FnArg, owner: Option<&Type>) -> syn::Result<Self> {
        refuse::parameter_attributes(&written)?;
        match &mut written {
            FnArg::Receiver(receiver) => {
                let Some(owner) = owner else { return Err(refuse::method(receiver)) };
                refuse::receiver(receiver)?;
                let by_reference = receiver.reference.is_some();
                let name = Ident::new("__flame_self", receiver.self_token.span());
                let of = owner.clone();
                Ok(Self { written, name, of, by_reference, role: Role::Receiver })
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
                            refuse::unsized_state(&reference.elem)?;
                        }
                        refuse::reference(reference)?;
                        ((*reference.elem).clone(), true)
                    }
                    of => (of.clone(), false),
                };
                refuse::inside_argument(&of)?;
                let role = if is_state { Role::State } else { Role::Argument };
                Ok(Self { written, name, of, by_reference, role })
            }
        }
    }
}

fn without_remote(mut attributes: Vec<Attribute>) -> Vec<Attribute> {
    attributes.retain(|attribute| !is_remote(attribute));
    attributes
}

/// Whether this is `#[remote]`, by whatever path.
pub(crate) fn is_remote(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident == "remote")
}

fn outcome(output: &ReturnType) -> syn::Result<Outcome> {
    let of: Type = match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, of) => (**of).clone(),
    };
    if let Type::ImplTrait(opaque) = &of {
        let item = stream_item(opaque)?;
        refuse::inside_result(&item)?;
        return Ok(Outcome::Stream(item));
    }
    refuse::inside_result(&of)?;
    Ok(Outcome::One(of))
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
    Err(refuse::opaque_result(opaque, &last))
}

/// The place of `span`, by macros that see it: file, line, column.
fn location(span: Span) -> [TokenStream; 3] {
    [
        quote::quote_spanned!(span=> ::core::file!()),
        quote::quote_spanned!(span=> ::core::line!()),
        quote::quote_spanned!(span=> ::core::column!()),
    ]
}

/// A type as people write it: `Name<u32>`, not `Name < u32 >`.
fn text_of(of: &Type) -> String {
    of.to_token_stream().to_string().replace(' ', "")
}
