//! What refers to what.

use std::collections::HashMap;

use super::super::context::At;
use super::{Checker, Kind, shown};

impl<'a> Checker<'a> {
    /// The identifier that a reference names; an error where nothing is called so, or something of another kind.
    pub(super) fn reference(
        &mut self,
        at: &At<'a>,
        property: &str,
        kinds: &[Kind],
    ) -> Option<&'a str> {
        let allowed = || {
            let classes: Vec<&str> = kinds.iter().map(|kind| kind.class()).collect();
            classes.join(" or a ")
        };
        let Some(id) = at.text().or_else(|| at.id()) else {
            let required = format!(
                "has to refer to a {} by its `@id`, not be {}",
                allowed(),
                shown(at.value)
            );
            self.error(&at.path, property, required);
            return None;
        };
        match self.parts.get(id) {
            Some(part) if kinds.contains(&part.kind) => Some(id),
            Some(part) => {
                let required = format!(
                    "has to refer to a {}, and `{id}` is a {}",
                    allowed(),
                    part.kind.class()
                );
                self.error(&at.path, property, required);
                None
            }
            None => {
                let required = format!(
                    "has to refer to a {}, and nothing has the identifier `{id}`",
                    allowed()
                );
                self.error(&at.path, property, required);
                None
            }
        }
    }

    /// Errors where things are made of each other in a circle, one for each circle.
    pub(super) fn circles(&mut self) {
        let mut of: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, (from, _, _, _)) in self.edges.iter().enumerate() {
            of.entry(from).or_default().push(at);
        }
        // 1 is under way, 2 is done.
        let mut states: HashMap<&str, u8> = HashMap::new();
        let mut found = Vec::new();
        for start in self.edges.iter().map(|(from, _, _, _)| *from) {
            if states.contains_key(start) {
                continue;
            }
            states.insert(start, 1);
            let mut way = vec![(start, 0)];
            while let Some((node, next)) = way.last_mut() {
                let edge = of.get(node).and_then(|edges| edges.get(*next)).copied();
                *next += 1;
                let Some(edge) = edge else {
                    states.insert(node, 2);
                    way.pop();
                    continue;
                };
                let (_, to, _, _) = self.edges[edge];
                match states.get(to) {
                    Some(1) => found.push(edge),
                    Some(_) => {}
                    None => {
                        states.insert(to, 1);
                        way.push((to, 0));
                    }
                }
            }
        }
        for edge in found {
            let (from, to, path, property) = self.edges[edge].clone();
            let required = format!("`{from}` is made of `{to}`, which is made of it");
            self.error(&path, property, required);
        }
    }
}
