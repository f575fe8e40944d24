//! Prints translations a second.
fn main() {
    for _ in 0..3 {
        println!("{:?}", siov_iommu::bench::translate(2_000_000));
    }
}
