//! The entry that runs a function on a runner, and the work that runs it in the parent.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{FnArg, Index, ext::IdentExt, spanned::Spanned};

use super::Expander;
use crate::signature::{Output, Parameter, ParameterRole, RemoteFunction};

impl Expander<'_> {
    /// The entry in the table of remote functions, as an expression.
    pub(super) fn entry(&self) -> TokenStream {
        let RemoteFunction { path, location: [file, line, column], .. } = self.function;
        let text = self.function.text();
        let kind = match self.function.result {
            Output::Stream(_) => quote!(Stream),
            Output::One(_) if self.is_plain() => quote!(Plain),
            Output::One(_) => quote!(Async),
        };
        let names = self.names();
        let slots = self.function.arguments().map(slot);
        let invoke = self.invoke();
        quote! {
            __flame::FunctionEntry::new(
                (
                    #path,
                    match ::core::option_env!("CARGO_PKG_VERSION") {
                        ::core::option::Option::Some(version) => version,
                        ::core::option::Option::None => "",
                    },
                    #text,
                ),
                __flame::Kind::#kind,
                __flame::Location { file: #file, line: #line, column: #column },
                __FLAME_STATES,
                |__call| __flame::invoke(
                    __call,
                    |__from| {
                        #(let #names = #slots.decode(__from)?;)*
                        ::core::result::Result::Ok((#(#names,)*))
                    },
                    |(#(#names,)*), __scope| #invoke,
                ),
            )
        }
    }

    /// Runs the function on a runner. The arguments are owned, and borrowed if the function borrows
    /// them.
    fn invoke(&self) -> TokenStream {
        let lend = |Parameter { name, of, by_reference, .. }: &Parameter| {
            if *by_reference {
                quote!(::core::borrow::Borrow::<#of>::borrow(&#name))
            } else {
                quote!(#name)
            }
        };
        match self.function.result {
            Output::Stream(_) => {
                let names = self.names();
                quote!(__flame::stream_execution(move || __flame_run(#(#names),*), __flame_codec(), __scope))
            }
            Output::One(_) if self.is_plain() => {
                let call = self.call(lend);
                quote!(__flame::blocking_execution(
                    ::std::boxed::Box::new(move || #call), __flame_codec(), __scope
                ))
            }
            Output::One(_) => {
                let given = self.function.arguments().map(lend);
                let run = quote!(__flame_run(#(#given),*));
                let run = if self.borrows() { quote!(async move { #run.await }) } else { run };
                quote!(__flame::future_execution(__flame::boxed_future(#run), __flame_codec(), __scope))
            }
        }
    }

    /// The arguments that the caller has passed.
    pub(super) fn given(&self) -> TokenStream {
        let given = self.function.arguments().map(|argument| match &argument.written {
            FnArg::Receiver(receiver) => {
                let own = &receiver.self_token;
                quote!(#own)
            }
            FnArg::Typed(_) => {
                let name = &argument.name;
                quote!(#name)
            }
        });
        quote!((#(#given,)*))
    }

    /// The type of the arguments.
    pub(super) fn types(&self) -> TokenStream {
        let types = self.function.arguments().map(|Parameter { of, by_reference, .. }| {
            if *by_reference { quote!(&'__flame #of) } else { quote!(#of) }
        });
        quote!((#(#types,)*))
    }

    /// Encodes the arguments.
    pub(super) fn encode(&self) -> TokenStream {
        let encode = self.function.arguments().enumerate().map(|(index, argument)| {
            let (index, slot) = (Index::from(index), slot(argument));
            let reference = (!argument.by_reference).then(|| quote!(&));
            quote!(#slot.encode(#reference __args.#index, __to)?;)
        });
        let types = self.types();
        quote! {
            |__args: &#types, __to| {
                #(#encode)*
                ::core::result::Result::Ok(())
            }
        }
    }

    /// Runs the function in the parent. It borrows the caller's values, unless it moves to a
    /// thread.
    pub(super) fn start(&self) -> TokenStream {
        let names = self.names();
        let start = match self.function.result {
            Output::Stream(_) => quote!(__flame::boxed_stream(__flame_run(#(#names),*))),
            Output::One(_) if self.is_plain() => {
                let own = self.function.arguments().filter(|argument| argument.by_reference);
                let own = own.map(|Parameter { name, of, .. }| {
                    quote_spanned! {of.span()=>
                        let #name = <#of as ::std::borrow::ToOwned>::to_owned(#name);
                    }
                });
                let call = self.call(|Parameter { name, of, by_reference, .. }| {
                    if *by_reference {
                        quote!(::core::borrow::Borrow::<#of>::borrow(&#name))
                    } else {
                        quote!(#name)
                    }
                });
                quote!({
                    #(#own)*
                    __flame::blocking(::std::boxed::Box::new(move || #call))
                })
            }
            Output::One(_) => quote!(__flame::boxed_future(__flame_run(#(#names),*))),
        };
        quote!(|(#(#names,)*)| #start)
    }
}

/// The expression that encodes or decodes an argument.
fn slot(argument: &Parameter) -> TokenStream {
    let of = &argument.of;
    let name = match argument.role {
        ParameterRole::Receiver => "self".to_owned(),
        ParameterRole::Argument | ParameterRole::State => argument.name.unraw().to_string(),
    };
    quote_spanned!(of.span()=> __flame::argument::<#of>(#name))
}
