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
//!                                         static ENTRY: Entry = ..;
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
//!   static ENTRY: Entry = *Word::__remote_length().entry;
//! ```
//!
//! The entry is outside the impl block because of clippy: linkme adds an `unsafe` block to it, and clippy
//! warns about `unsafe` in the impl blocks of a type that derives `Deserialize`.
//!
//! Each bound on a type of the app is required in one place, at the span of that type. So the compiler
//! reports an unsatisfied bound once, and points at the app's own code.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{FnArg, Index, Lifetime, Type, ext::IdentExt, spanned::Spanned};

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
            // An associated function can have the name of the remote function, for spans and
            // backtraces, without hiding the remote function from the code, which may call itself.
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
            static __FLAME_ENTRY: __flame::Entry = #entry;

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
                const __FLAME_ENTRY: &__flame::Entry = &#entry;
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
                static __FLAME_ENTRY: __flame::Entry = *<#owner>::#remote().entry();
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

    /// The items that the entry and the work use.
    fn items(&self) -> TokenStream {
        let (states, run, codec) = (self.states(), self.run(), self.codec());
        quote!(#states #run #codec)
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

    /// One constant for each state. It also requires the bounds on the type of the state.
    fn states(&self) -> TokenStream {
        let states = self.function.parameters.iter().filter(|p| p.role == ParameterRole::State);
        let states = states.enumerate().map(|(index, Parameter { of, .. })| {
            let name = state_name(index);
            quote_spanned! {of.span()=>
                const #name: __flame::StateOf<#of> =
                    <__flame::App as __flame::Keeps<#of>>::STATE;
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
    fn call(&self, argument: impl Fn(&Parameter) -> TokenStream) -> TokenStream {
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

    /// The function that the parent and the runner both call. A plain function has none: all of it moves
    /// to a thread.
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
        // At the name of the function, where the compiler then reports a future that is not `Send`.
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
        let find = quote_spanned!(of.span()=> (&&&__flame::Probe::<#of>::NEW).__flame_codec());
        quote! {
            fn __flame_codec() -> __flame::Codec<#of> {
                #[allow(unused_imports)]
                use __flame::{ViaNone as _, ViaRemoteError as _, ViaWire as _};
                #find
            }
        }
    }

    /// The entry in the table of remote functions, as an expression.
    fn entry(&self) -> TokenStream {
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
            __flame::Entry::new(
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

    /// Runs the function on a runner. The arguments are owned, and borrowed if the function borrows them.
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
                quote!(__flame::many(move || __flame_run(#(#names),*), __flame_codec(), __scope))
            }
            Output::One(_) if self.is_plain() => {
                let call = self.call(lend);
                quote!(__flame::one_blocking(
                    ::std::boxed::Box::new(move || #call), __flame_codec(), __scope
                ))
            }
            Output::One(_) => {
                let given = self.function.arguments().map(lend);
                let run = quote!(__flame_run(#(#given),*));
                let run = if self.borrows() { quote!(async move { #run.await }) } else { run };
                quote!(__flame::one(__flame::boxed_future(#run), __flame_codec(), __scope))
            }
        }
    }

    /// The arguments that the caller has passed.
    fn given(&self) -> TokenStream {
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
    fn types(&self) -> TokenStream {
        let types = self.function.arguments().map(|Parameter { of, by_reference, .. }| {
            if *by_reference { quote!(&'__flame #of) } else { quote!(#of) }
        });
        quote!((#(#types,)*))
    }

    /// Encodes the arguments.
    fn encode(&self) -> TokenStream {
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

    /// Runs the function in the parent. It borrows the caller's values, unless it moves to a thread.
    fn start(&self) -> TokenStream {
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

fn state_name(index: usize) -> Ident {
    format_ident!("__FLAME_STATE_{}", index, span = Span::call_site())
}
