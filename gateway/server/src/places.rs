//! Places for work, shared out among the hospitals that ask for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caretrail_model::ids::MspId;

/// Places for work: so many in all, and so many for one hospital that the others still find some.
///
/// Hospitals that one TLS authority vouches for cannot be told apart, and share.
#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    hospital_max: usize,
    taken: Mutex<BTreeMap<Vec<MspId>, usize>>,
}

/// A place, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    hospitals: Vec<MspId>,
}

impl Places {
    pub(crate) fn new(max: usize, hospital_max: usize) -> Arc<Self> {
        Arc::new(Self { max, hospital_max, taken: Mutex::default() })
    }

    /// A place for these hospitals, if there is one.
    pub(crate) fn take(self: &Arc<Self>, hospitals: &[MspId]) -> Option<Place> {
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= self.max
            || taken.get(hospitals).is_some_and(|count| *count >= self.hospital_max)
        {
            return None;
        }
        let hospitals = hospitals.to_vec();
        *taken.entry(hospitals.clone()).or_default() += 1;
        drop(taken);
        Some(Place { places: Arc::clone(self), hospitals })
    }

    /// Every change of the counts is whole: a thread that panicked left them right.
    fn taken(&self) -> MutexGuard<'_, BTreeMap<Vec<MspId>, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match taken.get_mut(&self.hospitals) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.hospitals);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hospital_leaves_places_to_the_others() {
        let [north, south, west] =
            ["NorthMSP", "SouthMSP", "WestMSP"].map(|name| vec![name.parse().unwrap()]);
        let places = Places::new(3, 2);
        let first = places.take(&north).unwrap();
        let _second = places.take(&north).unwrap();
        assert!(places.take(&north).is_none(), "its own share is taken");
        let third = places.take(&south).unwrap();
        assert!(places.take(&west).is_none(), "all are taken");
        drop(first);
        assert!(places.take(&west).is_some());
        drop(third);
        let _again = places.take(&north).unwrap();
        assert!(places.take(&north).is_none());
        assert_eq!(places.taken().len(), 1, "nothing is kept of hospitals without a place");
    }
}
