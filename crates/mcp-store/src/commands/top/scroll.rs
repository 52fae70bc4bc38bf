//! Lists that are longer than their part of the screen.

use super::keys::Step;

/// A list on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum List {
    #[default]
    Tools,
    Sessions,
    Failures,
}

/// How far each list is scrolled, and which list the keys scroll.
#[derive(Debug, Default)]
pub(crate) struct Scroll {
    chosen: List,
    /// The first row shown of each list.
    first: [usize; List::ALL.len()],
    /// How many rows of each list are shown.
    heights: [usize; List::ALL.len()],
}

impl List {
    pub(crate) const ALL: [Self; 3] = [Self::Tools, Self::Sessions, Self::Failures];
}

impl Scroll {
    pub(crate) fn chosen(&self) -> List {
        self.chosen
    }

    pub(crate) fn choose(&mut self, list: List) {
        self.chosen = list;
    }

    pub(crate) fn first(&self, list: List) -> usize {
        self.first[list as usize]
    }

    /// Moves within the chosen list. The next [`fit`](Self::fit) bounds it.
    pub(crate) fn step(&mut self, step: Step) {
        let page = self.heights[self.chosen as usize].max(1);
        let first = &mut self.first[self.chosen as usize];
        *first = match step {
            Step::Up => first.saturating_sub(1),
            Step::Down => first.saturating_add(1),
            Step::PageUp => first.saturating_sub(page),
            Step::PageDown => first.saturating_add(page),
            Step::First => 0,
            Step::Last => usize::MAX,
        };
    }

    /// Keeps the last row of each list at the lower end of its part of the screen or below it.
    pub(crate) fn fit(&mut self, lengths: [usize; 3], heights: [usize; 3]) {
        self.heights = heights;
        for ((first, length), height) in self.first.iter_mut().zip(lengths).zip(heights) {
            *first = (*first).min(length.saturating_sub(height));
        }
    }
}
