//! The receipt of a hardened image.

use super::{Hardened, Outcome};
use crate::image::Descriptor;
use crate::plan::Removed;
use crate::receipt::{
    self, ArrangedLayer, KeptFile, Layer, LayerEncoding, LeftOut, PlatformReceipt, Receipt,
    VERSION, changed, config_change, written,
};
use crate::rewrite::{Arranged, Encoding, LayerOutcome};

impl Hardened {
    /// The receipt of this image, published as `result` under a profile of that name.
    pub fn receipt(&self, result: String, profile: &str) -> Receipt {
        let left_out = self.left_out.iter();
        Receipt {
            version: VERSION,
            tool: concat!("immut ", env!("CARGO_PKG_VERSION")).to_owned(),
            source: self.source.to_string(),
            source_digest: self.source.digest,
            result,
            result_digest: self.digest(),
            profile: profile.to_owned(),
            platforms: self.platforms.iter().map(platform).collect(),
            left_out: left_out
                .map(|one| LeftOut { what: one.what.clone(), reason: one.reason.clone() })
                .collect(),
        }
    }
}

fn platform(outcome: &Outcome) -> PlatformReceipt {
    let plan = &outcome.plan;
    let steps = || plan.steps.iter();
    let kept = plan.kept.iter();
    PlatformReceipt {
        platform: outcome.platform.to_string(),
        source: outcome.source.digest,
        result: outcome.rewritten.manifest.digest(),
        before: plan.before.into(),
        after: plan.after.into(),
        packages: (&plan.packages).into(),
        layers: outcome.layers.iter().zip(&outcome.rewritten.layers).map(layer).collect(),
        arranged: outcome.rewritten.arranged.iter().map(arranged).collect(),
        removed: outcome.removed.iter().map(removed).collect(),
        changed: steps().filter_map(|step| changed(&step.action, &step.because)).collect(),
        written: steps().filter_map(|step| written(&step.action, &step.because)).collect(),
        config: steps().filter_map(|step| config_change(&step.action, &step.because)).collect(),
        app: plan.app.as_ref().map(Into::into),
        writable: plan.writable.iter().map(Into::into).collect(),
        kept: kept.map(|one| KeptFile { path: one.path.clone(), rule: one.rule.clone() }).collect(),
        orphaned: plan.orphaned.clone(),
        notes: plan.notes.clone(),
        unseen: plan.unseen.clone(),
        may_need_shell: plan.closure.may_need_shell().into_iter().cloned().collect(),
    }
}

fn layer((source, outcome): (&Descriptor, &LayerOutcome)) -> Layer {
    let (outcome, result, encoding) = match outcome {
        LayerOutcome::Untouched => ("untouched", Some(source.digest), None),
        LayerOutcome::Rewritten(new, how) => ("rewritten", Some(new.digest), Some(encoding(how))),
        LayerOutcome::Dropped => ("dropped", None, None),
        LayerOutcome::Arranged => ("arranged", None, None),
    };
    Layer { source: source.digest, outcome, result, encoding }
}

fn arranged(layer: &Arranged) -> ArrangedLayer {
    let packages = layer.packages.iter().map(Into::into).collect();
    ArrangedLayer { result: layer.blob.digest, packages }
}

fn encoding(how: &Encoding) -> LayerEncoding {
    LayerEncoding { method: how.method.as_str(), copied: how.copied, encoded: how.encoded }
}

fn removed(one: &Removed) -> receipt::Removed {
    receipt::Removed {
        path: one.path.clone(),
        layer: one.layer + 1,
        kind: one.kind,
        rules: one.because.clone(),
        size: one.size,
        sha256: one.digest.map(|digest| digest.hex()),
    }
}
