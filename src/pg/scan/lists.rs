//! PostgreSQL's lists.

use pgrx::pg_sys;

/// The pointers of a list, which may be null.
///
/// # Safety
/// A list of pointers to `T` that stays as it is.
pub(super) unsafe fn items<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: as the caller says.
    (0..unsafe { length(list) })
        .map(move |i| unsafe { (*(*list).elements.add(i)).ptr_value.cast::<T>() })
}

/// How many items a list has; a null one has none.
///
/// # Safety
/// A list or null.
pub(super) unsafe fn length(list: *mut pg_sys::List) -> usize {
    // SAFETY: as the caller says.
    unsafe { list.as_ref() }.map_or(0, |list| list.length as usize)
}

/// The integers of a list of such.
///
/// # Safety
/// A list of integers or null.
pub(super) unsafe fn integers(list: *mut pg_sys::List) -> Vec<i32> {
    // SAFETY: as the caller says.
    unsafe {
        (0..length(list))
            .map(|i| (*(*list).elements.add(i)).int_value)
            .collect()
    }
}

/// Puts another pointer in a list's place.
///
/// # Safety
/// The list has that place.
pub(super) unsafe fn set<T>(list: *mut pg_sys::List, place: usize, item: *mut T) {
    // SAFETY: as the caller says.
    unsafe { (*(*list).elements.add(place)).ptr_value = item.cast() }
}

/// A list of pointers.
pub(super) fn of<T>(items: impl IntoIterator<Item = *mut T>) -> *mut pg_sys::List {
    items.into_iter().fold(std::ptr::null_mut(), |list, item| {
        // SAFETY: a list that nobody else has.
        unsafe { pg_sys::lappend(list, item.cast()) }
    })
}

/// A list of integers.
pub(super) fn of_integers(items: impl IntoIterator<Item = i32>) -> *mut pg_sys::List {
    items.into_iter().fold(std::ptr::null_mut(), |list, item| {
        // SAFETY: a list that nobody else has.
        unsafe { pg_sys::lappend_int(list, item) }
    })
}
