//! What stands on the daemon's metrics page, in Prometheus' text format.

/// The sum of the samples of this name, whatever their labels.
pub fn sum_of(page: &str, name: &str) -> f64 {
    let samples = page.lines().filter_map(|line| line.strip_prefix(name));
    let values = samples
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit_once(' '));
    values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}

/// Of a histogram, all streams together: the upper bound of the bucket in which that part of all measures lies.
pub fn quantile(page: &str, histogram: &str, part: f64) -> Option<f64> {
    let prefix = format!("{histogram}_bucket{{");
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix(&*prefix)) {
        let (labels, count) = line.rsplit_once(' ')?;
        let bound = labels.split("le=\"").nth(1)?.split('"').next()?;
        let bound = if bound == "+Inf" {
            f64::INFINITY
        } else {
            bound.parse().ok()?
        };
        let count: f64 = count.parse().ok()?;
        match buckets.iter_mut().find(|bucket| bucket.0.total_cmp(&bound).is_eq()) {
            Some(bucket) => bucket.1 += count,
            None => buckets.push((bound, count)),
        }
    }
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all = buckets.last()?.1;
    buckets
        .into_iter()
        .find(|(_, count)| *count >= all * part)
        .map(|(bound, _)| bound)
}
