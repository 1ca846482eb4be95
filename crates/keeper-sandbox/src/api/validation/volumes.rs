//! What is refused of the volumes of a pod.

use super::containers::unique;
use super::{Faults, Field};
use crate::api::names::label_faults;

/// Every source of a volume in the order in which the real server looks at it, and what it must name.
const SOURCES: &[(&str, &[&str])] = &[
    ("emptyDir", &[]),
    ("hostPath", &["path"]),
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("quobyte", &["registry", "volume"]),
    ("downwardAPI", &[]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &[]),
    ("projected", &[]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("ephemeral", &["volumeClaimTemplate"]),
    ("image", &[]),
];

/// Gives the names that containers may mount: those of volumes without a fault.
pub(super) fn volumes<'a>(volumes: &Field<'a>, faults: &mut Faults) -> Vec<&'a str> {
    let mut names = Vec::new();
    for volume in volumes.items() {
        let before = faults.count();
        source(&volume, faults);
        let name = volume.at("name");
        faults.needed(&name, label_faults);
        unique(&name, &mut names, faults);
        if faults.count() > before {
            names.retain(|known| *known != name.text());
        }
    }
    names
}

fn source(volume: &Field<'_>, faults: &mut Faults) {
    let mut set = SOURCES.iter().filter(|(kind, _)| volume.at(kind).is_set());
    let Some((kind, needed)) = set.next() else {
        return faults.required(volume, "must specify a volume type");
    };
    let source = volume.at(kind);
    for field in needed.iter().map(|field| source.at(field)).filter(Field::is_empty) {
        faults.required(&field, "");
    }
    let mode = source.at("defaultMode");
    if mode.number().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        faults.invalid(&mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
    for (other, _) in set {
        faults.forbidden(&volume.at(other), "may not specify more than 1 volume type");
    }
}
