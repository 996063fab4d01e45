//! The device itself.

use async_trait::async_trait;
use whatsapp_rust::wacore::stats::StorageResourceReport;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::DeviceStore;

use crate::store::RowKind;
use crate::whatsapp::device_store::EngineStore;
use crate::whatsapp::device_store::credentials::{self, DEVICE_KEY};

#[async_trait]
impl DeviceStore for EngineStore {
    async fn save(&self, device: &Device) -> Result<()> {
        self.save_device(device).await
    }

    async fn load(&self) -> Result<Option<Device>> {
        let device = self.rows.find(RowKind::Device, DEVICE_KEY).await?;
        device
            .map(|device| credentials::decode_device(&device))
            .transpose()
    }

    async fn exists(&self) -> Result<bool> {
        let device = self.rows.find(RowKind::Device, DEVICE_KEY).await?;
        Ok(device.is_some())
    }

    async fn create(&self) -> Result<i32> {
        if !self.exists().await? {
            self.save_device(&Device::new()).await?;
        }
        // The rows are those of one device.
        Ok(1)
    }

    /// The table is not the memory of this process.
    async fn resource_report(&self) -> StorageResourceReport {
        StorageResourceReport {
            memory_bytes: Some(0),
            ..StorageResourceReport::default()
        }
    }
}
