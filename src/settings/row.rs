//! What a row of the table of settings is made of, and what happens when its value changes.

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::ops::RangeInclusive;

use pgrx::guc::GucEnum;
use pgrx::{GucContext, GucFlags, GucSetting};

use crate::pg::guc::{self, Description};

/// Returns what is wrong with a text.
pub(super) type Check = fn(&str) -> Result<(), String>;

/// What is impossible while a setting has a bad value from server start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stake {
    /// Every Azure AD login: the default that is in force instead may mean "anyone".
    Logins,
    /// To ask the directory. The setting opens no door, so logins go on without the directory.
    Directory,
}

/// A kind of setting. Has the place where PostgreSQL keeps the value for SHOW.
pub(crate) trait Kind: 'static {
    /// The value as PostgreSQL hands it over.
    type Given: ?Sized;
    /// The value as it is kept.
    type Value: Clone + PartialEq;

    /// Returns the value of a server that does not set it.
    fn default(&self) -> Self::Value;

    /// Converts a value to what is kept of it.
    fn kept(&self, value: &Self::Given) -> Self::Value;

    /// Returns what a bad value at server start makes impossible.
    fn stake(&self) -> Stake {
        Stake::Logins
    }

    /// Returns what is wrong with a text. PostgreSQL itself checks what is not text.
    fn check_text(&self, _text: &str) -> Result<(), String> {
        Ok(())
    }

    /// Returns what is wrong with a value.
    fn check(&self, _value: &Self::Given) -> Result<(), String> {
        Ok(())
    }

    /// Defines the setting. Returns whether PostgreSQL has replaced the value that is written for
    /// it, which is not valid.
    fn define<S: Setting<Kind = Self>>(&'static self) -> bool;
}

/// A text. Blanks around it do not count.
pub(super) struct Text {
    storage: GucSetting<Option<CString>>,
    default: &'static CStr,
    check: Check,
    flags: GucFlags,
}

impl Text {
    /// Returns a text that is checked by a function, and empty by default.
    pub(super) const fn checked_by(check: Check) -> Self {
        Self::with_default(c"", check)
    }

    /// Returns a text that is checked by a function.
    pub(super) const fn with_default(default: &'static CStr, check: Check) -> Self {
        let storage = GucSetting::<Option<CString>>::new(Some(default));
        Self { storage, default, check, flags: GucFlags::empty() }
    }

    /// Shows the value to superusers only.
    pub(super) const fn for_superusers(self) -> Self {
        Self { flags: GucFlags::SUPERUSER_ONLY, ..self }
    }
}

impl Kind for Text {
    type Given = str;
    type Value = String;

    fn default(&self) -> String {
        self.default.to_string_lossy().into_owned()
    }

    fn kept(&self, value: &str) -> String {
        value.trim().to_owned()
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        (self.check)(text.trim())
    }

    fn check(&self, value: &str) -> Result<(), String> {
        self.check_text(value)
    }

    /// A bad text stays in force at server start: parsing it gives the fault.
    fn define<S: Setting<Kind = Self>>(&'static self) -> bool {
        guc::define_text::<S>(&S::DESCRIPTION, &self.storage, GucContext::Sighup, self.flags);
        false
    }
}

/// A number with a unit.
pub(super) struct Number {
    storage: GucSetting<i32>,
    default: i32,
    range: RangeInclusive<i32>,
    unit: GucFlags,
    stake: Stake,
}

impl Number {
    /// Returns a duration in seconds.
    pub(super) const fn seconds(default: i32, range: RangeInclusive<i32>) -> Self {
        Self::new(default, range, GucFlags::UNIT_S)
    }

    /// Returns a duration in milliseconds.
    pub(super) const fn milliseconds(default: i32, range: RangeInclusive<i32>) -> Self {
        Self::new(default, range, GucFlags::UNIT_MS)
    }

    const fn new(default: i32, range: RangeInclusive<i32>, unit: GucFlags) -> Self {
        let storage = GucSetting::<i32>::new(default);
        Self { storage, default, range, unit, stake: Stake::Logins }
    }

    /// Says that a bad value stops no login.
    pub(super) const fn of_directory(self) -> Self {
        Self { stake: Stake::Directory, ..self }
    }
}

impl Kind for Number {
    type Given = i32;
    type Value = i32;

    fn default(&self) -> i32 {
        self.default
    }

    fn stake(&self) -> Stake {
        self.stake
    }

    fn kept(&self, value: &i32) -> i32 {
        *value
    }

    fn define<S: Setting<Kind = Self>>(&'static self) -> bool {
        guc::has_bad_value_once_defined(S::DESCRIPTION.name, || {
            guc::define_number::<S>(
                &S::DESCRIPTION,
                &self.storage,
                &self.range,
                GucContext::Sighup,
                self.unit,
            );
        })
    }
}

/// On or off.
pub(super) struct Flag {
    storage: GucSetting<bool>,
    default: bool,
    is_read_at_start: bool,
    stake: Stake,
}

impl Flag {
    /// Returns a flag.
    pub(super) const fn new(default: bool) -> Self {
        let storage = GucSetting::<bool>::new(default);
        Self { storage, default, is_read_at_start: false, stake: Stake::Logins }
    }

    /// Says that it is read when the server starts, and never again.
    pub(super) const fn at_start(self) -> Self {
        Self { is_read_at_start: true, ..self }
    }

    /// Says that a bad value stops no login.
    pub(super) const fn of_directory(self) -> Self {
        Self { stake: Stake::Directory, ..self }
    }
}

impl Kind for Flag {
    type Given = bool;
    type Value = bool;

    fn default(&self) -> bool {
        self.default
    }

    fn stake(&self) -> Stake {
        self.stake
    }

    fn kept(&self, value: &bool) -> bool {
        *value
    }

    fn define<S: Setting<Kind = Self>>(&'static self) -> bool {
        guc::has_bad_value_once_defined(S::DESCRIPTION.name, || {
            let context = if self.is_read_at_start { GucContext::Postmaster } else { GucContext::Sighup };
            guc::define_flag::<S>(&S::DESCRIPTION, &self.storage, context, GucFlags::empty());
        })
    }
}

/// A word of a list.
pub(super) struct Choice<E: GucEnum> {
    storage: GucSetting<E>,
    default: E,
    stake: Stake,
}

impl<E: GucEnum + Copy> Choice<E> {
    /// Returns a choice.
    pub(super) const fn new(default: E) -> Self {
        Self { storage: GucSetting::<E>::new(default), default, stake: Stake::Logins }
    }

    /// Says that a bad value stops no login.
    pub(super) const fn of_directory(self) -> Self {
        Self { stake: Stake::Directory, ..self }
    }
}

impl<E: GucEnum + PartialEq + 'static> Kind for Choice<E> {
    type Given = E;
    type Value = E;

    fn default(&self) -> E {
        self.default
    }

    fn stake(&self) -> Stake {
        self.stake
    }

    fn kept(&self, value: &E) -> E {
        *value
    }

    fn define<S: Setting<Kind = Self>>(&'static self) -> bool {
        guc::has_bad_value_once_defined(S::DESCRIPTION.name, || {
            guc::define_word::<E, S>(&S::DESCRIPTION, &self.storage, GucContext::Sighup, GucFlags::empty());
        })
    }
}

/// A row of the table, as a type, because guc.c does not say which setting it calls a hook for.
pub(crate) trait Setting: 'static {
    /// Its kind.
    type Kind: Kind;
    /// The name without the prefix.
    const NAME: &'static str;
    /// The description in pg_settings.
    const DESCRIPTION: Description;

    /// Returns its kind.
    fn kind() -> &'static Self::Kind;

    /// Keeps a value that is in force from now on.
    fn keep(value: <Self::Kind as Kind>::Value);
}

impl<S: Setting> guc::Hooks for S {
    type Value = <S::Kind as Kind>::Given;

    /// Refuses a bad value at reload and by ALTER SYSTEM. Lets it stand at server start. Lets it
    /// stand in a parallel worker, too, which takes over what its leader has, even if a file has
    /// changed since.
    fn check(value: &Self::Value, _is_from_file: bool) -> Result<(), String> {
        if guc::is_server_starting() || guc::is_parallel_worker_starting() {
            return Ok(());
        }
        S::kind().check(value).map_err(|problem| format!("The value {problem}."))
    }

    /// A value that is set after server start corrects whatever was wrong with the setting then.
    fn assign(value: &Self::Value) {
        if !guc::is_server_starting() {
            BAD_AT_START.with_borrow_mut(|names| names.retain(|(name, _)| *name != S::NAME));
        }
        S::keep(S::kind().kept(value));
    }
}

thread_local! {
    /// The settings whose value at server start was not valid, so that PostgreSQL has put the
    /// default in its place. Every process inherits them from the postmaster.
    static BAD_AT_START: RefCell<Vec<(&'static str, Stake)>> = const { RefCell::new(Vec::new()) };
}

/// Returns the first setting whose value at server start was not valid and has not been set since,
/// of those with something at stake.
pub(super) fn bad_at_start(stake: Stake) -> Option<&'static str> {
    BAD_AT_START.with_borrow(|names| names.iter().find(|(_, its)| *its == stake).map(|(name, _)| *name))
}

/// A row of the table, as far as it can be used without a server.
pub(super) struct Row {
    /// The name without the prefix.
    pub(super) name: &'static str,
    /// Returns what is wrong with a text.
    pub(super) check_text: Check,
}

/// Defines a setting.
pub(super) fn define<S: Setting>() {
    if S::kind().define::<S>() {
        BAD_AT_START.with_borrow_mut(|names| names.push((S::NAME, S::kind().stake())));
    }
}

/// Makes a table of settings: of each row `name: kind = definition, short, long;` a field of
/// `Values`, an item of `ROWS`, and one of `DEFINE`. `kept_in` is a thread-local `RefCell<Values>`,
/// `then` is called with it whenever a value has changed.
macro_rules! settings {
    (kept_in $values:ident; then $then:path;
     $($name:ident: $kind:ty = $definition:expr, $short:expr, $long:expr;)*) => {
        struct Kinds {
            $($name: $kind,)*
        }

        static KINDS: Kinds = Kinds { $($name: $definition,)* };

        /// The values in force.
        pub(super) struct Values {
            $(pub(super) $name: <$kind as $crate::settings::row::Kind>::Value,)*
        }

        impl Default for Values {
            fn default() -> Self {
                use $crate::settings::row::Kind;
                Self { $($name: KINDS.$name.default(),)* }
            }
        }

        /// The settings.
        static ROWS: &[$crate::settings::row::Row] = &[$($crate::settings::row::Row {
            name: stringify!($name),
            check_text: |text| $crate::settings::row::Kind::check_text(&KINDS.$name, text),
        },)*];

        /// Functions that define the settings, in the order of the table. They need a server.
        static DEFINE: &[fn()] = &[$({
            enum This {}

            impl $crate::settings::row::Setting for This {
                type Kind = $kind;
                const NAME: &'static str = stringify!($name);
                const DESCRIPTION: $crate::pg::guc::Description = $crate::pg::guc::Description {
                    name: match std::ffi::CStr::from_bytes_with_nul(
                        concat!("azure_ad_auth.", stringify!($name), "\0").as_bytes(),
                    ) {
                        Ok(name) => name,
                        Err(_) => c"",
                    },
                    short: $short,
                    long: $long,
                };

                fn kind() -> &'static $kind {
                    &KINDS.$name
                }

                fn keep(value: <$kind as $crate::settings::row::Kind>::Value) {
                    let is_new = $values.with_borrow_mut(|values| {
                        let is_new = values.$name != value;
                        values.$name = value;
                        is_new
                    });
                    if is_new {
                        $values.with_borrow(|values| $then(values));
                    }
                }
            }
            $crate::settings::row::define::<This>
        },)*];
    };
}
pub(super) use settings;
