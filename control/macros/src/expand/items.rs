//! The items that the entry and the work of a function use: its states, the function that the
//! parent and the runner both call, and the codec of its result.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Lifetime, spanned::Spanned};

use super::Expander;
use crate::signature::{Output, Parameter, ParameterRole};

impl Expander<'_> {
    /// The items that the entry and the work use.
    pub(super) fn items(&self) -> TokenStream {
        let (states, run, codec) = (self.states(), self.run(), self.codec());
        quote!(#states #run #codec)
    }

    /// One constant for each state. It also requires the bounds on the type of the state.
    fn states(&self) -> TokenStream {
        let states = self.function.parameters.iter().filter(|p| p.role == ParameterRole::State);
        let states = states.enumerate().map(|(index, Parameter { of, .. })| {
            let name = state_name(index);
            quote_spanned! {of.span()=>
                const #name: __flame::StateParameter<#of> =
                    <__flame::AppState as __flame::HasState<#of>>::STATE;
            }
        });
        let count =
            self.function.parameters.iter().filter(|p| p.role == ParameterRole::State).count();
        let needs = (0..count).map(state_name);
        quote! {
            #(#states)*
            const __FLAME_STATES: &[__flame::StateNeed] = &[#(#needs.need()),*];
        }
    }

    /// A call of the body: `argument` makes the arguments, and the states come from the app.
    pub(super) fn call(&self, argument: impl Fn(&Parameter) -> TokenStream) -> TokenStream {
        let mut states = (0..).map(state_name);
        let given = self.function.parameters.iter().map(|parameter| {
            if parameter.role != ParameterRole::State {
                return argument(parameter);
            }
            let state = states.next();
            if parameter.by_reference { quote!(&#state.get()) } else { quote!(#state.get()) }
        });
        let body = self.body;
        quote!(#body(#(#given),*))
    }

    /// The function that the parent and the runner both call. A plain function needs none, because
    /// its whole call moves to a blocking thread.
    fn run(&self) -> Option<TokenStream> {
        if self.is_plain() {
            return None;
        }
        let call = self.call(|Parameter { name, .. }| quote!(#name));
        let generics = self.generics();
        let inputs =
            self.function.arguments().map(|Parameter { name, of, by_reference, .. }| {
                if *by_reference { quote!(#name: &'__flame #of) } else { quote!(#name: #of) }
            });
        let inputs = quote!(#(#inputs),*);
        // With the span of the function's name, the compiler reports a future that is not `Send`
        // there.
        let span = Span::call_site().located_at(self.function.name.span());
        let lifetime = Lifetime::new(self.lifetime_name(), span);
        Some(match &self.function.result {
            Output::One(of) => {
                let gives = quote_spanned! {span=>
                    impl ::core::future::Future<Output = #of> + ::core::marker::Send + #lifetime
                };
                // A borrowed state has to live for as long as the function runs.
                let future = if self.borrows_state() {
                    quote_spanned!(span=> async move { #call.await })
                } else {
                    call
                };
                quote!(fn __flame_run #generics (#inputs) -> #gives { #future })
            }
            Output::Stream(of) => {
                let gives = quote_spanned! {span=>
                    impl __flame::Stream<Item = #of> + ::core::marker::Send + #lifetime
                };
                quote!(fn __flame_run #generics (#inputs) -> #gives { #call })
            }
        })
    }

    /// The function that returns the codec of the result.
    fn codec(&self) -> TokenStream {
        let of = self.function.result.sent_type();
        let find =
            quote_spanned!(of.span()=> (&&&__flame::ResultProbe::<#of>::NEW).__flame_codec());
        quote! {
            fn __flame_codec() -> __flame::Codec<#of> {
                #[allow(unused_imports)]
                use __flame::{UnsupportedResult as _, ErrorChainResult as _, SerdeResult as _};
                #find
            }
        }
    }
}

fn state_name(index: usize) -> Ident {
    format_ident!("__FLAME_STATE_{}", index, span = Span::call_site())
}
