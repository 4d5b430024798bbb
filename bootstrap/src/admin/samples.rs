//! The samples in the text of `/metrics` (OpenMetrics 1.0). Pure.

use std::collections::BTreeMap;

/// What the dashboard is about; the rest are libp2p's own numbers, many and for programs.
const SHOWN: [&str; 3] = [
    "moim_bootstrap_",
    "process_",
    "libp2p_kad_inbound_requests_total",
];

/// Names with labels, as they stand there, and values.
pub(super) fn parse(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| SHOWN.iter().any(|prefix| line.starts_with(prefix)))
        .filter_map(|line| {
            // Labels are our own words, and none of them has a space in it.
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect()
}

/// The counters, each with all its labels together.
pub(super) fn totals(samples: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let mut totals = BTreeMap::new();
    for (name, value) in samples {
        let name = name.split_once('{').map_or(name.as_str(), |(name, _)| name);
        if name.ends_with("_total") {
            *totals.entry(name.to_owned()).or_default() += value;
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_counters_added_up() {
        let text = "# HELP moim_bootstrap_a A.\n# TYPE moim_bootstrap_a counter\n\
            moim_bootstrap_a_total{r=\"x\"} 1\nmoim_bootstrap_a_total{r=\"y\"} 2\n\
            moim_bootstrap_b 2.5\nlibp2p_swarm_c_total 3\nprocess_cpu_seconds_total 0.25\n# EOF\n";
        let samples = parse(text);
        let entries: Vec<_> = samples.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(
            entries,
            [
                ("moim_bootstrap_a_total{r=\"x\"}", 1.0),
                ("moim_bootstrap_a_total{r=\"y\"}", 2.0),
                ("moim_bootstrap_b", 2.5),
                ("process_cpu_seconds_total", 0.25),
            ]
        );
        let totals = totals(&samples);
        let entries: Vec<_> = totals.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let expected = [
            ("moim_bootstrap_a_total", 3.0),
            ("process_cpu_seconds_total", 0.25),
        ];
        assert_eq!(entries, expected);
    }
}
