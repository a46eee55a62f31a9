//! Arguments of SQL functions whose size the caller decides: up to a gigabyte.
//!
//! They stay where PostgreSQL has put them. An [`Argument`] cannot be copied without a limit, so
//! that nothing of such a size is asked of Rust's allocator, which ends the process when it has no
//! memory.

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::nullable::Nullable;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

/// An argument of type text, in the encoding of the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument<'call>(&'call [u8]);

impl<'call> Argument<'call> {
    /// Returns its length, in bytes.
    pub(crate) const fn len(self) -> usize {
        self.0.len()
    }

    /// Returns all of it; none if it has more than `most` bytes.
    pub(crate) fn within(self, most: usize) -> Option<&'call [u8]> {
        (self.0.len() <= most).then_some(self.0)
    }

    /// Returns its beginning, of at most so many bytes.
    pub(crate) fn beginning(self, most: usize) -> &'call [u8] {
        self.0.get(..most).unwrap_or(self.0)
    }

    /// Returns all of it, to be read where it is and not to be copied.
    pub(crate) const fn in_place(self) -> &'call [u8] {
        self.0
    }
}

#[expect(unsafe_code, reason = "a trait of pgrx that describes the type")]
// SAFETY: what pgrx itself makes of an argument of this type, which lives as long as the call.
unsafe impl<'call> ArgAbi<'call> for Argument<'call> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'call>) -> Self {
        // SAFETY: see above. PostgreSQL has no text that is a null pointer.
        unsafe { arg.unbox_arg_using_from_datum::<&[u8]>() }.map_or(Self(&[]), Self)
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'call>) -> Nullable<Self> {
        // SAFETY: see above.
        match unsafe { arg.unbox_arg_using_from_datum::<&[u8]>() } {
            Some(text) => Nullable::Valid(Self(text)),
            None => Nullable::Null,
        }
    }
}

#[expect(unsafe_code, reason = "a trait of pgrx that describes the type")]
// SAFETY: its type in SQL.
unsafe impl SqlTranslatable for Argument<'_> {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Argument<'_>);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("text"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("text")));
}
