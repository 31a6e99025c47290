//! Expands a remote function.
//!
//! ```text
//!   #[remote]                         fn double(n: u32) -> Work<'static, u64> {
//!   async fn double(n: u32) -> u64 {      enum Body {}
//!       u64::from(n) * 2       ===>       impl Body { async fn double(n: u32) -> u64 { .. } }
//!   }                                         // the app's code
//!                                         fn run(n: u32) -> impl Future + Send
//!                                             // calls the body, and passes the states
//!                                         fn codec() -> Codec<u64>
//!                                             // encodes the result
//!                                         static ENTRY: FunctionEntry = ..;
//!                                             // runs the function on a runner
//!                                         work(&ENTRY, (n,), ..)
//!                                             // runs the function in the parent
//!                                     }
//! ```
//!
//! A method becomes three items in its impl block, and one beside the block:
//!
//! ```text
//!   impl Word {
//!       async fn __flame_length(&self) -> usize { .. }      the app's code, which may use `Self`
//!       const fn __remote_length() -> Method<..> { .. }     all of the parts above
//!       fn length(&self) -> Work<usize> { Word::__remote_length().work((self,)) }
//!   }
//!   static ENTRY: FunctionEntry = *Word::__remote_length().entry();
//! ```
//!
//! The entry is outside the impl block because of clippy: linkme adds an `unsafe` block to it, and
//! clippy warns about `unsafe` in the impl blocks of a type that derives `Deserialize`.
//!
//! Each bound on a type of the app is required in one place, at the span of that type. So the
//! compiler reports an unsatisfied bound once, and points at the app's own code.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{FnArg, Lifetime, Type, ext::IdentExt};

mod entry;
mod items;

use crate::{
    attributes,
    signature::{Output, Parameter, ParameterRole, RemoteFunction},
};

/// The items that replace a function.
pub(crate) struct Expansion {
    /// The items at the position of the function.
    pub(crate) items: TokenStream,
    /// The entry of a method, which is placed beside the impl block.
    pub(crate) beside: Option<TokenStream>,
}

pub(crate) fn function(function: &RemoteFunction) -> Expansion {
    let body = BodyItem::of(function);
    let expander = Expander { function, body: &body.path };
    match &function.owner {
        Some(owner) => expander.method(owner, &body.item),
        None => Expansion { items: expander.free(&body.item), beside: None },
    }
}

/// The app's code, and the path to it.
struct BodyItem {
    item: TokenStream,
    path: TokenStream,
}

impl BodyItem {
    fn of(function: &RemoteFunction) -> Self {
        let RemoteFunction { attributes, asyncness, name, output, block, .. } = function;
        let attributes = &attributes.body;
        let inputs = function.parameters.iter().map(|parameter| &parameter.written);
        if let Some(owner) = &function.owner {
            let name = format_ident!("__flame_{}", name.unraw(), span = name.span());
            Self {
                item: quote! {
                    #(#attributes)*
                    #[doc(hidden)]
                    #asyncness fn #name(#(#inputs),*) #output #block
                },
                path: quote!(<#owner>::#name),
            }
        } else {
            // Spans and backtraces show the name of the body, so the body has the name of the
            // remote function. The body is an associated function so that its name does not hide
            // the remote function, which the app's code may call recursively.
            Self {
                item: quote! {
                    enum __FlameBody {}
                    impl __FlameBody {
                        #(#attributes)*
                        #asyncness fn #name(#(#inputs),*) #output #block
                    }
                },
                path: quote!(__FlameBody::#name),
            }
        }
    }
}

/// A parameter of the function that the app calls.
fn outer_input(argument: &Parameter) -> TokenStream {
    let Parameter { written, name, of, by_reference, .. } = argument;
    match (written, by_reference) {
        (FnArg::Receiver(receiver), true) => {
            let own = &receiver.self_token;
            quote!(&'__flame #own)
        }
        (FnArg::Receiver(receiver), false) => {
            let own = &receiver.self_token;
            quote!(#own)
        }
        (FnArg::Typed(_), true) => quote!(#name: &'__flame #of),
        (FnArg::Typed(_), false) => quote!(#name: #of),
    }
}

/// Makes the parts of the expansion.
struct Expander<'f> {
    function: &'f RemoteFunction,
    body: &'f TokenStream,
}

impl Expander<'_> {
    /// A function outside an impl block: it contains all parts.
    fn free(&self, body: &TokenStream) -> TokenStream {
        let root = &self.function.root;
        let work = match self.function.result {
            Output::One(_) => quote!(work),
            Output::Stream(_) => quote!(stream_work),
        };
        let (items, entry) = (self.items(), self.entry());
        let (given, encode, start) = (self.given(), self.encode(), self.start());
        self.outer(&quote! {
            use #root::__private as __flame;
            #body
            #items

            #[__flame::linkme::distributed_slice(__flame::ENTRIES)]
            #[linkme(crate = __flame::linkme)]
            static __FLAME_ENTRY: __flame::FunctionEntry = #entry;

            __flame::#work(&__FLAME_ENTRY, #given, #encode, #start, __flame_codec())
        })
    }

    fn method(&self, owner: &Type, body: &TokenStream) -> Expansion {
        let RemoteFunction { root, attributes, name, .. } = self.function;
        let remote = format_ident!("__remote_{}", name.unraw(), span = Span::call_site());
        let given = self.given();
        let outer = self.outer(&quote!(<#owner>::#remote().work(#given)));

        let around = attributes::shared(&attributes.outer);
        let generics = self.generics();
        let lifetime = self.lifetime();
        let (types, of) = (self.types(), self.function.result.sent_type());
        let runs = match self.function.result {
            Output::One(_) => quote!(BoxFuture),
            Output::Stream(_) => quote!(BoxStream),
        };
        let (items, entry) = (self.items(), self.entry());
        let (encode, start) = (self.encode(), self.start());
        let items = quote! {
            #body
            #(#around)*
            #[doc(hidden)]
            const fn #remote #generics() -> #root::__private::Method<
                #types, #of, #root::__private::#runs<#lifetime, #of>
            > {
                use #root::__private as __flame;
                #items
                const __FLAME_ENTRY: &__flame::FunctionEntry = &#entry;
                __flame::Method::new(__FLAME_ENTRY, #encode, #start, __flame_codec)
            }
            #outer
        };
        let beside = quote! {
            #(#around)*
            const _: () = {
                use #root::__private as __flame;
                #[__flame::linkme::distributed_slice(__flame::ENTRIES)]
                #[linkme(crate = __flame::linkme)]
                static __FLAME_ENTRY: __flame::FunctionEntry = *<#owner>::#remote().entry();
            };
        };
        Expansion { items, beside: Some(beside) }
    }

    /// The function that the app calls.
    fn outer(&self, block: &TokenStream) -> TokenStream {
        let RemoteFunction { root, attributes, visibility, name, result, .. } = self.function;
        let attributes = &attributes.outer;
        let (generics, lifetime) = (self.generics(), self.lifetime());
        let inputs = self.function.arguments().map(outer_input);
        let of = result.sent_type();
        let work = match result {
            Output::One(_) => quote!(Work),
            Output::Stream(_) => quote!(StreamWork),
        };
        quote! {
            #(#attributes)*
            #visibility fn #name #generics (#(#inputs),*) -> #root::#work<#lifetime, #of> {
                #block
            }
        }
    }

    fn generics(&self) -> Option<TokenStream> {
        self.borrows().then(|| quote!(<'__flame>))
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::new(self.lifetime_name(), Span::call_site())
    }

    fn borrows(&self) -> bool {
        self.function.arguments().any(|argument| argument.by_reference)
    }

    fn borrows_state(&self) -> bool {
        let mut states = self.function.parameters.iter().filter(|p| p.role == ParameterRole::State);
        states.any(|state| state.by_reference)
    }

    /// The lifetime of the work.
    fn lifetime_name(&self) -> &'static str {
        if self.borrows() { "'__flame" } else { "'static" }
    }

    fn is_plain(&self) -> bool {
        matches!(self.function.result, Output::One(_)) && self.function.asyncness.is_none()
    }

    fn names(&self) -> Vec<&Ident> {
        self.function.arguments().map(|argument| &argument.name).collect()
    }
}
