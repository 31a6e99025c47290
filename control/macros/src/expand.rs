//! What a remote function becomes.
//!
//! ```text
//!   #[remote]                         fn double(n: u32) -> Work<'static, u64> {
//!   async fn double(n: u32) -> u64 {      enum Body {}                  the app's code, under
//!       u64::from(n) * 2       ===>       impl Body { async fn double(n: u32) -> u64 { .. } }
//!   }                                     fn run(n: u32) -> impl Future + Send   states filled in
//!                                         fn codec() -> Codec<u64>               result's way back
//!                                         static ENTRY: Entry = ..               runs it over there
//!                                         work(&ENTRY, (n,), ..)                 runs it here
//!                                     }
//! ```
//!
//! A method becomes three items of its impl block, and one beside the block:
//!
//! ```text
//!   impl Word {
//!       async fn __flame_length(&self) -> usize { .. }      the app's code, which may name `Self`
//!       const fn __remote_length() -> Method<..> { .. }     all the parts above
//!       fn length(&self) -> Work<usize> { Word::__remote_length().work((self,)) }
//!   }
//!   static ENTRY: Entry = *Word::__remote_length().entry;
//! ```
//!
//! The entry stands outside for the sake of clippy: the check that linkme puts into it has an `unsafe`
//! block, and clippy warns of those in the impl blocks of a type that derives `Deserialize`.
//!
//! Each bound on a type of the app is asked for in one place, at the span of that type, so that
//! what the compiler refuses is refused once and points at the app's own code.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{FnArg, Index, Lifetime, Type, ext::IdentExt, spanned::Spanned};

use crate::{
    attributes,
    signature::{Function, Outcome, Parameter, Role},
};

/// The items that a function becomes.
pub(crate) struct Expansion {
    /// In the place of the function.
    pub(crate) items: TokenStream,
    /// The entry of a method, beside its impl block.
    pub(crate) beside: Option<TokenStream>,
}

pub(crate) fn function(function: &Function) -> Expansion {
    let body = Body::of(function);
    let parts = Parts { function, body: &body.path };
    match &function.owner {
        Some(owner) => parts.method(owner, &body.item),
        None => Expansion { items: parts.free(&body.item), beside: None },
    }
}

/// The app's code, and how to name it.
struct Body {
    item: TokenStream,
    path: TokenStream,
}

impl Body {
    fn of(function: &Function) -> Self {
        let Function { attributes, asyncness, name, output, block, .. } = function;
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
            // An associated function has the function's own name, for spans and backtraces, and
            // does not hide the remote function from the code, which may call itself.
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

/// An argument of the function that the app calls.
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

/// The parts of a function.
struct Parts<'f> {
    function: &'f Function,
    body: &'f TokenStream,
}

impl Parts<'_> {
    /// A function outside any impl block: it has all of its parts in itself.
    fn free(&self, body: &TokenStream) -> TokenStream {
        let root = &self.function.root;
        let work = match self.function.result {
            Outcome::One(_) => quote!(work),
            Outcome::Stream(_) => quote!(stream_work),
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
        let Function { root, attributes, name, .. } = self.function;
        let remote = format_ident!("__remote_{}", name.unraw(), span = Span::call_site());
        let given = self.given();
        let outer = self.outer(&quote!(<#owner>::#remote().work(#given)));

        let around = attributes::around(&attributes.outer);
        let generics = self.generics();
        let lifetime = self.lifetime();
        let (types, of) = (self.types(), self.function.result.of());
        let runs = match self.function.result {
            Outcome::One(_) => quote!(BoxFuture),
            Outcome::Stream(_) => quote!(BoxStream),
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
        let Function { root, attributes, visibility, name, result, .. } = self.function;
        let attributes = &attributes.outer;
        let (generics, lifetime) = (self.generics(), self.lifetime());
        let inputs = self.function.arguments().map(outer_input);
        let of = result.of();
        let work = match result {
            Outcome::One(_) => quote!(Work),
            Outcome::Stream(_) => quote!(StreamWork),
        };
        quote! {
            #(#attributes)*
            #visibility fn #name #generics (#(#inputs),*) -> #root::#work<#lifetime, #of> {
                #block
            }
        }
    }

    /// What the entry and the work are made of.
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
        let mut states = self.function.parameters.iter().filter(|p| p.role == Role::State);
        states.any(|state| state.by_reference)
    }

    /// How long the work lives.
    fn lifetime_name(&self) -> &'static str {
        if self.borrows() { "'__flame" } else { "'static" }
    }

    fn is_plain(&self) -> bool {
        matches!(self.function.result, Outcome::One(_)) && self.function.asyncness.is_none()
    }

    fn names(&self) -> Vec<&Ident> {
        self.function.arguments().map(|argument| &argument.name).collect()
    }

    /// One constant for each state, which also asks for the type's bounds.
    fn states(&self) -> TokenStream {
        let states = self.function.parameters.iter().filter(|p| p.role == Role::State);
        let states = states.enumerate().map(|(index, Parameter { of, .. })| {
            let name = state_name(index);
            quote_spanned! {of.span()=>
                const #name: __flame::StateParameter<#of> =
                    <__flame::AppState as __flame::HasState<#of>>::STATE;
            }
        });
        let count = self.function.parameters.iter().filter(|p| p.role == Role::State).count();
        let needs = (0..count).map(state_name);
        quote! {
            #(#states)*
            const __FLAME_STATES: &[__flame::StateNeed] = &[#(#needs.need()),*];
        }
    }

    /// The body called: arguments as `argument` has them, states from the app.
    fn call(&self, argument: impl Fn(&Parameter) -> TokenStream) -> TokenStream {
        let mut states = (0..).map(state_name);
        let given = self.function.parameters.iter().map(|parameter| {
            if parameter.role != Role::State {
                return argument(parameter);
            }
            let state = states.next();
            if parameter.by_reference { quote!(&#state.get()) } else { quote!(#state.get()) }
        });
        let body = self.body;
        quote!(#body(#(#given),*))
    }

    /// What the arguments become here and over there alike. A plain function has none of this: it
    /// moves to its thread whole.
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
        // At the function's name: it is where the compiler says that the future is not `Send`.
        let span = Span::call_site().located_at(self.function.name.span());
        let lifetime = Lifetime::new(self.lifetime_name(), span);
        Some(match &self.function.result {
            Outcome::One(of) => {
                let gives = quote_spanned! {span=>
                    impl ::core::future::Future<Output = #of> + ::core::marker::Send + #lifetime
                };
                // The state that is borrowed has to live for as long as the function runs.
                let future = if self.borrows_state() {
                    quote_spanned!(span=> async move { #call.await })
                } else {
                    call
                };
                quote!(fn __flame_run #generics (#inputs) -> #gives { #future })
            }
            Outcome::Stream(of) => {
                let gives = quote_spanned! {span=>
                    impl __flame::Stream<Item = #of> + ::core::marker::Send + #lifetime
                };
                quote!(fn __flame_run #generics (#inputs) -> #gives { #call })
            }
        })
    }

    /// How the result crosses.
    fn codec(&self) -> TokenStream {
        let of = self.function.result.of();
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

    /// The entry of the table, an expression.
    fn entry(&self) -> TokenStream {
        let Function { path, location: [file, line, column], .. } = self.function;
        let text = self.function.text();
        let kind = match self.function.result {
            Outcome::Stream(_) => quote!(Stream),
            Outcome::One(_) if self.is_plain() => quote!(Plain),
            Outcome::One(_) => quote!(Async),
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

    /// The function over there: its arguments are owned, and lent to it where it borrows.
    fn invoke(&self) -> TokenStream {
        let lend = |Parameter { name, of, by_reference, .. }: &Parameter| {
            if *by_reference {
                quote!(::core::borrow::Borrow::<#of>::borrow(&#name))
            } else {
                quote!(#name)
            }
        };
        match self.function.result {
            Outcome::Stream(_) => {
                let names = self.names();
                quote!(__flame::stream_execution(move || __flame_run(#(#names),*), __flame_codec(), __scope))
            }
            Outcome::One(_) if self.is_plain() => {
                let call = self.call(lend);
                quote!(__flame::blocking_execution(
                    ::std::boxed::Box::new(move || #call), __flame_codec(), __scope
                ))
            }
            Outcome::One(_) => {
                let given = self.function.arguments().map(lend);
                let run = quote!(__flame_run(#(#given),*));
                let run = if self.borrows() { quote!(async move { #run.await }) } else { run };
                quote!(__flame::future_execution(__flame::boxed_future(#run), __flame_codec(), __scope))
            }
        }
    }

    /// The arguments, as the app's caller gave them.
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

    /// The type of them.
    fn types(&self) -> TokenStream {
        let types = self.function.arguments().map(|Parameter { of, by_reference, .. }| {
            if *by_reference { quote!(&'__flame #of) } else { quote!(#of) }
        });
        quote!((#(#types,)*))
    }

    /// The arguments on their way out.
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

    /// The function here: it borrows what the caller lends it, unless it leaves for a thread.
    fn start(&self) -> TokenStream {
        let names = self.names();
        let start = match self.function.result {
            Outcome::Stream(_) => quote!(__flame::boxed_stream(__flame_run(#(#names),*))),
            Outcome::One(_) if self.is_plain() => {
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
            Outcome::One(_) => quote!(__flame::boxed_future(__flame_run(#(#names),*))),
        };
        quote!(|(#(#names,)*)| #start)
    }
}

/// How an argument crosses.
fn slot(argument: &Parameter) -> TokenStream {
    let of = &argument.of;
    let name = match argument.role {
        Role::Receiver => "self".to_owned(),
        Role::Argument | Role::State => argument.name.unraw().to_string(),
    };
    quote_spanned!(of.span()=> __flame::argument::<#of>(#name))
}

fn state_name(index: usize) -> Ident {
    format_ident!("__FLAME_STATE_{}", index, span = Span::call_site())
}
