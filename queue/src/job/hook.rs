//! Which hooks a kind overrides, derived from the types of their futures.

use std::future::Ready;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of a default hook body. Its type is private to this crate, so only a default body can return it.
pub(super) struct DefaultHook<T>(Ready<T>);

impl<T> DefaultHook<T> {
    pub(super) fn returning(value: T) -> Self {
        Self(std::future::ready(value))
    }
}

impl<T> Future for DefaultHook<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// A hook, named by the type of its future.
pub(super) struct Hook<Fut>(PhantomData<Fut>);

impl<T: 'static, Fut: Future<Output = T>> Hook<Fut> {
    pub(super) fn of_four<A, B, C, D>(_: fn(A, B, C, D) -> Fut) -> Self {
        Self(PhantomData)
    }

    pub(super) fn of_five<A, B, C, D, E>(_: fn(A, B, C, D, E) -> Fut) -> Self {
        Self(PhantomData)
    }

    pub(super) fn of_three<A, B, C>(_: fn(A, B, C) -> Fut) -> Self {
        Self(PhantomData)
    }

    /// True if the kind has its own body for this hook.
    pub(super) fn is_overridden(&self) -> bool {
        typeid::of::<Fut>() != typeid::of::<DefaultHook<T>>()
    }
}
