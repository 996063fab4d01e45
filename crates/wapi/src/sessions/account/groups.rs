//! Groups of an account, their members by stable ids.

use crate::inbound::identity;
use crate::model::event::{Group, Person};
use crate::model::session_name::SessionName;
use crate::sessions::{SessionError, Sessions};
use crate::store::StoreError;

impl Sessions {
    /// Lists the groups of the session's account, each with its address.
    pub async fn list_groups(
        &self,
        name: &SessionName,
    ) -> Result<Vec<(String, Group)>, SessionError> {
        let mut groups = self.online(name)?.fetch_groups().await?;
        for (_, group) in &mut groups {
            self.resolve_members(name, group).await?;
        }
        Ok(groups)
    }

    /// Returns one group, by the part of its address before `@g.us`.
    pub async fn find_group(&self, name: &SessionName, id: &str) -> Result<Group, SessionError> {
        let mut group = self.online(name)?.fetch_group(id).await?;
        self.resolve_members(name, &mut group).await?;
        Ok(group)
    }

    /// Resolves people in the data of groups to their stable ids.
    pub async fn resolve_people(
        &self,
        name: &SessionName,
        people: impl IntoIterator<Item = &mut Person> + Send,
    ) -> Result<(), StoreError> {
        let life = self.life(name);
        let life = life.ok_or_else(|| StoreError::new("the session is being removed"))?;
        identity::resolve_all_mentioned(&self.inner.deps.store, &life, people).await
    }

    /// Resolves the group's members to their stable ids.
    async fn resolve_members(
        &self,
        name: &SessionName,
        group: &mut Group,
    ) -> Result<(), StoreError> {
        let life = self.life(name);
        let life = life.ok_or_else(|| StoreError::new("the session is being removed"))?;
        identity::resolve_all_mentioned(&self.inner.deps.store, &life, group.people_mut()).await
    }
}
