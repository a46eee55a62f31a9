//! How texts become values of SQL.

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;

use crate::pg::text::{Json, Text};

impl IntoDatum for Text {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.0.as_slice().into_datum()
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TEXTOID
    }
}

impl IntoDatum for Json {
    #[expect(unsafe_code, reason = "calls jsonb_in()")]
    fn into_datum(self) -> Option<pg_sys::Datum> {
        // SAFETY: it takes a C string.
        unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(self.0.as_ptr().into())]) }
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

/// Lets SQL functions return a type.
macro_rules! returned {
    ($type:ty, $name:literal) => {
        #[expect(unsafe_code, reason = "a trait of pgrx that describes the type")]
        // SAFETY: the datum is of the type that the function is declared to return.
        unsafe impl BoxRet for $type {
            unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
                match self.into_datum() {
                    // SAFETY: see above.
                    Some(datum) => unsafe { call.return_raw_datum(datum) },
                    None => call.return_null(),
                }
            }
        }

        #[expect(unsafe_code, reason = "a trait of pgrx that describes the type")]
        // SAFETY: its type in SQL.
        unsafe impl SqlTranslatable for $type {
            const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!($type);
            const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
            const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal($name));
            const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
                Ok(ReturnsRef::One(SqlMappingRef::literal($name)));
        }
    };
}
returned!(Text, "text");
returned!(Json, "jsonb");
