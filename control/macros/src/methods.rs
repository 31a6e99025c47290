//! Expands an impl block with remote methods.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ImplItem, ImplItemFn, ItemFn, ItemImpl};

use crate::{
    attributes, expand, fragments,
    options::CratePath,
    reject,
    signature::{RemoteFunction, is_remote},
};

pub(crate) fn expand(mut block: ItemImpl, root: &CratePath) -> syn::Result<TokenStream> {
    reject::impl_block(&block)?;
    fragments::ungroup_type(&mut block.self_ty);
    let mut entries = Vec::new();
    let mut items = Vec::with_capacity(block.items.len());
    for item in std::mem::take(&mut block.items) {
        match item {
            ImplItem::Fn(method) if method.attrs.iter().any(is_remote) => {
                for attribute in method.attrs.iter().filter(|attribute| is_remote(attribute)) {
                    if let syn::Meta::List(list) = &attribute.meta {
                        reject::arguments_of_a_method(&list.tokens)?;
                    }
                }
                let ImplItemFn { attrs, vis, sig, block: body, .. } = method;
                let method = ItemFn { attrs, vis, sig, block: Box::new(body) };
                let function = RemoteFunction::method(method, &block.self_ty, root)?;
                let expansion = expand::function(&function);
                items.push(ImplItem::Verbatim(expansion.items));
                entries.extend(expansion.beside);
            }
            other => items.push(other),
        }
    }
    if entries.is_empty() {
        return Err(reject::no_remote_method(&block));
    }
    block.items = items;
    let around = attributes::shared(&block.attrs);
    Ok(quote! {
        #block
        #(#around)*
        const _: () = { #(#entries)* };
    })
}
