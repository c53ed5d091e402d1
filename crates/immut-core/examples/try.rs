//! scratch
use immut_core::{*, store::*};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let pinned: name::PinnedRef = a[1].parse().unwrap();
    let name::Location::Layout(dir) = &pinned.location else { panic!() };
    let src = Layout::open(dir).unwrap();
    let mut o = Options::default();
    if let Some(e) = a.get(3) { o.choices.entrypoint = Some(serde_json::from_str(e).unwrap()); o.choices.cmd = Some(vec!["--save".into(), "".into()]); }
    let stage = Layout::create(std::path::Path::new(&a[2])).unwrap();
    match harden(&pinned, &src, &stage, &o) {
        Err(Error::Conflicts(c)) => for r in c { for c in r.plan.conflicts { println!("{} {}\n  {}\n  {:?}", c.pointer, c.problem, c.chain.iter().map(|h| h.to_string()).collect::<Vec<_>>().join(" -> "), c.settle); } },
        Err(e) => println!("error {e}"),
        Ok(h) => { 
            for p in &h.platforms { for f in &p.found { println!("F {f}"); } for s in &p.plan.steps { if !matches!(s.action, plan::Action::EditFile{..}|plan::Action::DropHidden{..}) {println!("S {s:?}");} } println!("left {:?}", p.left.len()); for f in &p.left { println!("L {f}"); } println!("unseen {:?}", p.plan.unseen);println!("{:?}", p.rewritten.layers); }
            println!("{} {:?}", h.digest(), h.totals());
            stage.tag("out", &h.result).unwrap();
        }
    }
}
