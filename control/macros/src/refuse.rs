//! Every refusal: what cannot be remote, why, and what to write instead.

use proc_macro2::{Span, TokenStream};
use syn::{
    Error, FnArg, GenericParam, ImplItemFn, Item, ItemImpl, Lifetime, Receiver, Signature,
    TraitItemFn, Type, TypeImplTrait, TypeReference, TypeTraitObject,
    spanned::Spanned,
    visit::{self, Visit},
};

const METHOD: &str = "a method is made remote by `#[remote]` on its impl block as well as on the \
                      method: the block says which type it belongs to";

const BODILESS: &str = "a method without a body cannot be remote: there is nothing to run. Put \
                        `#[remote]` on a function that takes the concrete type";

fn at<T>(span: &impl Spanned, message: &str) -> syn::Result<T> {
    Err(Error::new(span.span(), message))
}

const ARGUMENTS: &str = "`#[remote]` takes no argument but `crate = path`, where flame-aws has another \
                         name here. Options are given to a call, as in \
                         `pool.call(work.timeout(..))`, or to a pool";

/// `#[remote(..)]` with something else than `crate = path`.
pub(crate) fn arguments(arguments: &TokenStream, error: &Error) -> Error {
    let mut tokens = arguments.clone().into_iter();
    let starts_well = tokens.next().is_some_and(|first| first.to_string() == "crate");
    if starts_well {
        return Error::new(
            error.span(),
            format!("the path of flame-aws is written `#[remote(crate = my::flame_aws)]`: {error}"),
        );
    }
    Error::new(arguments.span(), ARGUMENTS)
}

/// `#[remote(..)]` on a method.
pub(crate) fn arguments_of_a_method(arguments: &TokenStream) -> syn::Result<()> {
    if arguments.is_empty() {
        return Ok(());
    }
    if arguments.clone().into_iter().next().is_some_and(|first| first.to_string() == "crate") {
        return at(
            arguments,
            "`crate = ..` goes on the `#[remote]` of the impl block, for all of its methods",
        );
    }
    at(arguments, ARGUMENTS)
}

/// An item that is neither a function nor an impl block.
pub(crate) fn item(item: &Item) -> Error {
    match item {
        Item::Trait(item) => Error::new(
            item.trait_token.span(),
            "a trait cannot be remote: a runner cannot know which implementation to run. Put \
             `#[remote]` on a function that takes the concrete type, and call the trait's method \
             there",
        ),
        Item::Verbatim(tokens) if syn::parse2::<TraitItemFn>(tokens.clone()).is_ok() => {
            Error::new(tokens.span(), BODILESS)
        }
        other => Error::new(
            other.span(),
            "`#[remote]` goes on a function, or on an impl block and on methods in it",
        ),
    }
}

/// Tokens that are no item by themselves: perhaps a method, perhaps not Rust.
pub(crate) fn not_an_item(tokens: TokenStream, error: Error) -> Error {
    if let Ok(method) = syn::parse2::<ImplItemFn>(tokens.clone()) {
        Error::new(method.sig.ident.span(), METHOD)
    } else {
        error
    }
}

/// What no remote impl block can be.
pub(crate) fn impl_block(block: &ItemImpl) -> syn::Result<()> {
    if let Some((_, path, _)) = &block.trait_ {
        return at(
            path,
            "a trait's impl cannot be remote: put the code into a method of an inherent impl, or \
             into a function, make that `#[remote]`, and call it from here",
        );
    }
    if let Some(unsafety) = &block.unsafety {
        return at(unsafety, "a remote impl block cannot be unsafe");
    }
    if let Some(parameter) = block.generics.params.first() {
        return at(
            parameter,
            "a remote impl block cannot be generic: every instance would need its own entry in \
             the table of remote functions. Write it for one concrete type, `impl Name<u32>`, or \
             use a function",
        );
    }
    Ok(())
}

/// A remote impl block in which nothing is remote.
pub(crate) fn no_remote_method(block: &ItemImpl) -> Error {
    Error::new(
        block.self_ty.span(),
        "no method of this impl block is remote: put `#[remote]` on those that are to run in a \
         copy of the app",
    )
}

/// What no remote function can be, whatever its parameters.
pub(crate) fn function(signature: &Signature) -> syn::Result<()> {
    if let Some(token) = &signature.constness {
        return at(
            token,
            "a remote function cannot be const: leave out `const`, or keep the const function and \
             call it from a remote one",
        );
    }
    if let Some(token) = &signature.unsafety {
        return at(
            token,
            "a remote function cannot be unsafe: its arguments may come from another process, \
             which cannot uphold them. Write a safe function that checks them",
        );
    }
    if let Some(abi) = &signature.abi {
        return at(
            abi,
            "a remote function cannot be `extern`: write a Rust function that calls it",
        );
    }
    if let Some(variadic) = &signature.variadic {
        return at(variadic, "a remote function cannot be variadic: take a `Vec`");
    }
    match signature.generics.params.first() {
        Some(GenericParam::Lifetime(parameter)) => lifetime(&parameter.lifetime),
        Some(parameter) => at(
            parameter,
            "a remote function cannot be generic: every instance would need its own entry in the \
             table of remote functions. Write one remote function for each type, which calls the \
             generic one",
        ),
        None => Ok(()),
    }
}

fn lifetime<T>(lifetime: &Lifetime) -> syn::Result<T> {
    at(
        lifetime,
        "a remote function cannot name a lifetime: leave it out (`&str`), or take the argument \
         owned (`String`)",
    )
}

/// `self` in a function of which the impl block is not known.
pub(crate) fn method(receiver: &Receiver) -> Error {
    Error::new(receiver.span(), METHOD)
}

/// `Self` in a function of which the impl block is not known.
pub(crate) fn own_type(span: Span) -> Error {
    Error::new(
        span,
        "`Self` means nothing to a remote function outside a remote impl block: write the type, \
         or put `#[remote]` on the impl block as well",
    )
}

/// Receivers other than `self`, `mut self` and `&self`.
pub(crate) fn receiver(receiver: &Receiver) -> syn::Result<()> {
    if let Some(attribute) = receiver.attrs.iter().find(|a| a.path().is_ident("state")) {
        return at(
            attribute,
            "`self` cannot be `#[state]`: write a function, or a method without `self`, that \
             takes the value as a `#[state]` parameter",
        );
    }
    if let Some((_, Some(named))) = &receiver.reference {
        return lifetime(named);
    }
    if receiver.colon_token.is_some() {
        return at(
            receiver,
            "a remote method takes `self` or `&self`: other kinds of `self` share memory, which \
             cannot cross to a runner",
        );
    }
    if receiver.reference.is_some() && receiver.mutability.is_some() {
        return at(
            receiver,
            "`&mut self` cannot cross to a runner: the change would be made to a copy. Take \
             `self` and return it",
        );
    }
    Ok(())
}

/// An attribute of a parameter that the expansion cannot keep.
pub(crate) fn parameter_attributes(argument: &FnArg) -> syn::Result<()> {
    let (FnArg::Typed(syn::PatType { attrs, .. }) | FnArg::Receiver(Receiver { attrs, .. })) =
        argument;
    for attribute in attrs {
        if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
            return at(
                attribute,
                "a parameter of a remote function cannot be conditional: put the `cfg` on the \
                 function, and write it once for each case",
            );
        }
        if attribute.path().is_ident("state") && attribute.meta.require_path_only().is_err() {
            return at(attribute, "`#[state]` takes no arguments: the type says which state it is");
        }
    }
    Ok(())
}

/// The reference of a parameter: `&mut`, a named lifetime, or to something that has no owner.
pub(crate) fn reference(reference: &TypeReference) -> syn::Result<()> {
    if reference.mutability.is_some() {
        return at(
            reference,
            "`&mut` cannot cross to a runner: the change would be made to a copy. Take the value \
             and return it",
        );
    }
    match &reference.lifetime {
        Some(named) if named.ident == "static" => at(
            named,
            "a `&'static` argument cannot be made on a runner: leave out `'static`, or take the \
             argument owned",
        ),
        Some(named) => lifetime(named),
        None => trait_object(&reference.elem),
    }
}

/// Type::Paren is left around several bounds alone.
fn trait_object(of: &Type) -> syn::Result<()> {
    match of {
        Type::TraitObject(object) => dynamic(object),
        Type::Paren(several) => trait_object(&several.elem),
        _ => Ok(()),
    }
}

fn dynamic(object: &TypeTraitObject) -> syn::Result<()> {
    at(
        object,
        "a trait object cannot cross to a runner, which cannot know the type behind it: name the \
         type, or take an enum of the types there are",
    )
}

/// A reference to an unsized `#[state]`.
pub(crate) fn unsized_state(state: &Type) -> syn::Result<()> {
    match state {
        Type::TraitObject(object) => at(
            object,
            "`#[state]` behind a trait object is taken as `Arc<dyn ..>`, and registered as one",
        ),
        Type::Slice(slice) => at(slice, "`#[state]` is taken as `Vec<..>` or `Arc<[..]>`"),
        Type::Path(path) if path.path.is_ident("str") => {
            at(path, "`#[state]` is taken as a type of its own around a `String`")
        }
        Type::Paren(several) => unsized_state(&several.elem),
        _ => Ok(()),
    }
}

/// References, `impl Trait` and lifetimes inside the type of an argument.
pub(crate) fn inside_argument(argument: &Type) -> syn::Result<()> {
    inside(
        argument,
        "a reference inside another type cannot cross to a runner: take it owned (`Option<String>` \
         for `Option<&str>`)",
        "a remote function cannot be generic, and `impl Trait` is: name the type",
    )
}

/// References, `impl Trait` and lifetimes in the type of a result.
pub(crate) fn inside_result(result: &Type) -> syn::Result<()> {
    inside(
        result,
        "a remote function returns owned data, since a reference cannot cross from a runner: \
         return `String` for `&str`, `Vec<T>` for `&[T]`",
        "a remote function names the type it returns (a stream is `-> impl Stream<Item = T>` by \
         itself)",
    )
}

fn inside(of: &Type, references: &'static str, opaque: &'static str) -> syn::Result<()> {
    let mut inside = Inside { references, opaque, refusal: None };
    inside.visit_type(of);
    inside.refusal.map_or(Ok(()), Err)
}

struct Inside {
    references: &'static str,
    opaque: &'static str,
    refusal: Option<Error>,
}

impl Inside {
    /// The first is the outermost.
    fn refuse(&mut self, span: Span, message: &str) {
        self.refusal.get_or_insert_with(|| Error::new(span, message));
    }
}

impl<'ast> Visit<'ast> for Inside {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.refuse(reference.span(), self.references);
    }

    fn visit_type_impl_trait(&mut self, opaque: &'ast TypeImplTrait) {
        self.refuse(opaque.span(), self.opaque);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.refuse(lifetime.span(), self.references);
        }
    }

    fn visit_type(&mut self, part: &'ast Type) {
        if let Type::Never(never) = part {
            self.refuse(
                never.span(),
                "a remote function comes to an end: return `()`, and let the caller drop the call \
                 to stop it",
            );
        }
        visit::visit_type(self, part);
    }
}

/// `-> impl Future`, and `impl Stream` without its item.
pub(crate) fn opaque_result(opaque: &TypeImplTrait, ends_in: &str) -> Error {
    let message = match ends_in {
        "Future" => "a remote function that returns a future is written `async fn`",
        "Stream" => "a remote stream says what it gives: `-> impl Stream<Item = T>`",
        _ => {
            "a remote function names the type it returns, unless it is a stream: \
             `-> impl Stream<Item = T>`"
        }
    };
    Error::new(opaque.span(), message)
}

/// `async fn .. -> impl Stream`.
pub(crate) fn async_stream(asyncness: &impl Spanned) -> Error {
    Error::new(
        asyncness.span(),
        "a remote stream is a plain `fn` that returns `impl Stream`: leave out `async`, and await \
         inside the stream",
    )
}

/// A stream that borrows.
pub(crate) fn borrowing_stream(argument: &impl Spanned) -> Error {
    Error::new(
        argument.span(),
        "a remote stream takes its arguments owned, since it outlives the call that makes it: \
         `String` for `&str`, `self` for `&self`",
    )
}

/// The closure of `call!`.
pub(crate) mod closure {
    use super::{Error, Spanned, at};
    use syn::{ExprClosure, Pat};

    /// What is no closure at all.
    pub(crate) fn not_a_closure(error: &Error) -> Error {
        Error::new(
            error.span(),
            format!("`call!` takes a block, `async |a: A, b: B| -> R {{ .. }}`: {error}"),
        )
    }

    /// `move`, `static`, `const` and `for<..>`.
    pub(crate) fn modifiers(closure: &ExprClosure) -> syn::Result<()> {
        if let Some(token) = &closure.capture {
            return at(
                token,
                "leave out `move`: the block captures nothing, and its parameters are moved anyway",
            );
        }
        if let Some(lifetimes) = &closure.lifetimes {
            return at(lifetimes, "the block of `call!` cannot name lifetimes: leave them out");
        }
        if let Some(token) = &closure.movability {
            return at(token, "the block of `call!` cannot be static: leave it out");
        }
        if let Some(token) = &closure.constness {
            return at(token, "the block of `call!` cannot be const: leave it out");
        }
        Ok(())
    }

    /// A parameter without a type.
    pub(crate) fn untyped(parameter: &Pat) -> Error {
        Error::new(
            parameter.span(),
            "write the parameter's type, as in `|video: Video|`: the block becomes a function, \
             for which types are not inferred",
        )
    }

    /// A parameter that is no variable's name.
    pub(crate) fn pattern(parameter: &Pat) -> Error {
        Error::new(
            parameter.span(),
            "a parameter of the block is the name of a local variable that it takes: take it \
             apart inside the block",
        )
    }

    /// An expression in place of a block, without a type.
    pub(crate) fn no_type(closure: &ExprClosure) -> Error {
        Error::new(
            closure.or2_token.span(),
            "write the type that the block gives and the block's braces: `|..| -> T { .. }`",
        )
    }
}

/// A test.
pub(crate) mod test {
    use super::{Error, at};
    use proc_macro2::Ident;
    use syn::spanned::Spanned;
    use syn::{Expr, ItemFn};

    /// An option that there is not.
    pub(crate) fn option(name: &Ident) -> Error {
        Error::new(
            name.span(),
            "`#[flame_aws::test]` takes `app = expression`, which gives the `App` of the test, and \
             `worker_threads = 2`: neither is needed",
        )
    }

    /// An option that was given before.
    pub(crate) fn twice(name: &Ident) -> Error {
        Error::new(name.span(), format!("`{name}` is given twice: leave one out"))
    }

    /// A place of flame-aws that is no path.
    pub(crate) fn root(error: &Error) -> Error {
        Error::new(
            error.span(),
            format!("`crate` is the path of flame-aws: `crate = my::flame_aws`: {error}"),
        )
    }

    /// A number of threads that is none.
    pub(crate) fn threads(value: &Expr) -> Error {
        Error::new(value.span(), "`worker_threads` is a number, 1 or more: `worker_threads = 2`")
    }

    /// What is no function.
    pub(crate) fn item(error: &Error) -> Error {
        Error::new(
            error.span(),
            format!("`#[flame_aws::test]` goes on an `async fn` without parameters: {error}"),
        )
    }

    /// What no test can be.
    pub(crate) fn function(test: &ItemFn) -> syn::Result<()> {
        // `#[tokio::test]` above this one has left `#[test]` here, and no `async`.
        let is_test = |attribute: &&syn::Attribute| {
            let last = attribute.path().segments.last();
            last.is_some_and(|segment| segment.ident == "test")
        };
        if let Some(other) = test.attrs.iter().find(is_test) {
            return at(
                other,
                "`#[flame_aws::test]` makes a test and its runtime by itself: leave out \
                 `#[test]`, `#[tokio::test]` and the like",
            );
        }
        let signature = &test.sig;
        if signature.asyncness.is_none() {
            return at(
                &signature.fn_token,
                "a test with pools awaits: write `async fn`, or use `#[test]` for one that does \
                 not",
            );
        }
        if let Some(parameter) = signature.inputs.first() {
            return at(
                parameter,
                "a test takes no parameters, since a copy of it is started without any: make the \
                 value inside the test, or give state by `#[flame_aws::test(app = ..)]`",
            );
        }
        if let Some(parameter) = signature.generics.params.first() {
            return at(
                parameter,
                "a test cannot be generic: write one for each type, which calls a generic function",
            );
        }
        if let Some(token) = &signature.unsafety {
            return at(token, "a test cannot be unsafe: put `unsafe` on a block inside it");
        }
        match &signature.abi {
            Some(abi) => at(abi, "a test cannot be `extern`: leave it out"),
            None => Ok(()),
        }
    }
}
