//! Policies of users and groups, and who is in which group.

use super::existing_user;
use crate::action::Invocation;
use crate::answer::{Answer, Failure};
use crate::clock::iso;
use crate::policy::Document;
use crate::request::encode_percent;
use crate::world::{GroupName, GroupRecord, Policies, UserName};
use crate::xml::{element, leaf};

/// How many characters IAM takes of all inline policies of a user, and of a group.
const USER_SIZE: usize = 2_048;
const GROUP_SIZE: usize = 5_120;

pub(crate) fn list_users(invocation: &mut Invocation) -> Answer {
    let account = invocation.world.account(&invocation.caller.identity);
    invocation.authorize("iam:ListUsers", &format!("arn:aws:iam::{account}:user/"))?;
    let users = invocation.world.users.iter().filter(|(user, _)| user.account == account);
    let members = users.map(|(user, record)| {
        let inner = leaf("Path", "/")
            + &leaf("UserName", &user.name)
            + &leaf("UserId", &record.id)
            + &leaf("Arn", &user.arn())
            + &leaf("CreateDate", &iso(record.created_at));
        element("member", &inner)
    });
    Ok(element("Users", &members.collect::<String>()) + &leaf("IsTruncated", "false"))
}

pub(crate) fn put_user_policy(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:PutUserPolicy")?;
    let (name, document) = given(invocation)?;
    put(policies_of(invocation, &user), name, document, USER_SIZE, &format!("user {}", user.name))
}

pub(crate) fn get_user_policy(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:GetUserPolicy")?;
    let name = required(invocation, "PolicyName")?;
    let inline = get(policies_of(invocation, &user), &name, "user")?;
    Ok(leaf("UserName", &user.name) + &inline)
}

pub(crate) fn delete_user_policy(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:DeleteUserPolicy")?;
    let name = required(invocation, "PolicyName")?;
    delete(policies_of(invocation, &user), &name, "user")
}

pub(crate) fn list_user_policies(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:ListUserPolicies")?;
    Ok(names(policies_of(invocation, &user)))
}

pub(crate) fn list_attached_user_policies(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:ListAttachedUserPolicies")?;
    Ok(attached(policies_of(invocation, &user)))
}

pub(crate) fn list_groups_for_user(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:ListGroupsForUser")?;
    let groups = invocation.world.groups.iter().filter(|(_, group)| group.members.contains(&user));
    let members = groups.map(|(name, group)| element("member", &described(name, group)));
    Ok(element("Groups", &members.collect::<String>()) + &leaf("IsTruncated", "false"))
}

pub(crate) fn get_group(invocation: &mut Invocation) -> Answer {
    let name = existing_group(invocation, "iam:GetGroup")?;
    let group = &invocation.world.groups[&name];
    let members = group.members.iter().map(|user| {
        let (id, created_at) = invocation
            .world
            .users
            .get(user)
            .map(|user| (user.id.as_str(), user.created_at))
            .unwrap_or_default();
        let inner = leaf("Path", "/")
            + &leaf("UserName", &user.name)
            + &leaf("UserId", id)
            + &leaf("Arn", &user.arn())
            + &leaf("CreateDate", &iso(created_at));
        element("member", &inner)
    });
    let users = element("Users", &members.collect::<String>());
    Ok(element("Group", &described(&name, group)) + &users + &leaf("IsTruncated", "false"))
}

pub(crate) fn put_group_policy(invocation: &mut Invocation) -> Answer {
    let group = existing_group(invocation, "iam:PutGroupPolicy")?;
    let (name, document) = given(invocation)?;
    put(policies_of_group(invocation, &group), name, document, GROUP_SIZE, &format!("group {}", group.name))
}

pub(crate) fn get_group_policy(invocation: &mut Invocation) -> Answer {
    let group = existing_group(invocation, "iam:GetGroupPolicy")?;
    let name = required(invocation, "PolicyName")?;
    let inline = get(policies_of_group(invocation, &group), &name, "group")?;
    Ok(leaf("GroupName", &group.name) + &inline)
}

pub(crate) fn delete_group_policy(invocation: &mut Invocation) -> Answer {
    let group = existing_group(invocation, "iam:DeleteGroupPolicy")?;
    let name = required(invocation, "PolicyName")?;
    delete(policies_of_group(invocation, &group), &name, "group")
}

pub(crate) fn list_group_policies(invocation: &mut Invocation) -> Answer {
    let group = existing_group(invocation, "iam:ListGroupPolicies")?;
    Ok(names(policies_of_group(invocation, &group)))
}

pub(crate) fn list_attached_group_policies(invocation: &mut Invocation) -> Answer {
    let group = existing_group(invocation, "iam:ListAttachedGroupPolicies")?;
    Ok(attached(policies_of_group(invocation, &group)))
}

pub(crate) fn get_policy(invocation: &mut Invocation) -> Answer {
    let arn = required(invocation, "PolicyArn")?;
    invocation.authorize("iam:GetPolicy", &arn)?;
    managed(invocation, &arn)?;
    let name = arn.rsplit('/').next().unwrap_or_default();
    let inner = leaf("PolicyName", name) + &leaf("Arn", &arn) + &leaf("DefaultVersionId", "v1");
    Ok(element("Policy", &inner))
}

pub(crate) fn get_policy_version(invocation: &mut Invocation) -> Answer {
    let arn = required(invocation, "PolicyArn")?;
    let version = required(invocation, "VersionId")?;
    invocation.authorize("iam:GetPolicyVersion", &arn)?;
    let document = managed(invocation, &arn)?;
    if version != "v1" {
        return Err(no_such(format!("Policy {arn} version {version} does not exist or is not attachable.")));
    }
    let inner = leaf("Document", &encode_percent(&document.text))
        + &leaf("VersionId", "v1")
        + &leaf("IsDefaultVersion", "true");
    Ok(element("PolicyVersion", &inner))
}

/// The group that the action is about, if the caller may do that and the group exists.
fn existing_group(invocation: &Invocation, permission: &str) -> Result<GroupName, Failure> {
    let account = invocation.world.account(&invocation.caller.identity);
    let name = GroupName { account, name: required(invocation, "GroupName")? };
    invocation.authorize(permission, &format!("group {}", name.name))?;
    if invocation.world.groups.contains_key(&name) {
        return Ok(name);
    }
    Err(no_such(format!("The group with name {} cannot be found.", name.name)))
}

fn described(name: &GroupName, group: &GroupRecord) -> String {
    leaf("Path", "/")
        + &leaf("GroupName", &name.name)
        + &leaf("GroupId", &group.id)
        + &leaf("Arn", &name.arn())
        + &leaf("CreateDate", &iso(group.created_at))
}

/// Of a user that exists.
fn policies_of<'a>(invocation: &'a mut Invocation, user: &UserName) -> &'a mut Policies {
    &mut invocation.world.users.get_mut(user).expect("the user exists").policies
}

/// Of a group that exists.
fn policies_of_group<'a>(invocation: &'a mut Invocation, group: &GroupName) -> &'a mut Policies {
    &mut invocation.world.groups.get_mut(group).expect("the group exists").policies
}

fn given(invocation: &Invocation) -> Result<(String, Document), Failure> {
    let name = required(invocation, "PolicyName")?;
    Ok((name, Document::parse(&required(invocation, "PolicyDocument")?)?))
}

fn put(policies: &mut Policies, name: String, document: Document, most: usize, of: &str) -> Answer {
    let others = policies.inline.iter().filter(|(other, _)| **other != name);
    let size = document.size() + others.map(|(_, document)| document.size()).sum::<usize>();
    if size > most {
        let message = format!("Maximum policy size of {most} bytes exceeded for {of}");
        return Err(Failure::new(409, "LimitExceeded", message));
    }
    policies.inline.insert(name, document);
    Ok(String::new())
}

fn get(policies: &Policies, name: &str, kind: &str) -> Answer {
    let document = policies.inline.get(name).ok_or_else(|| no_policy(name, kind))?;
    Ok(leaf("PolicyName", name) + &leaf("PolicyDocument", &encode_percent(&document.text)))
}

fn delete(policies: &mut Policies, name: &str, kind: &str) -> Answer {
    policies.inline.remove(name).map(|_| String::new()).ok_or_else(|| no_policy(name, kind))
}

fn names(policies: &Policies) -> String {
    let members: String = policies.inline.keys().map(|name| leaf("member", name)).collect();
    element("PolicyNames", &members) + &leaf("IsTruncated", "false")
}

fn attached(policies: &Policies) -> String {
    let members = policies.attached.iter().map(|arn| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        element("member", &(leaf("PolicyName", name) + &leaf("PolicyArn", arn)))
    });
    element("AttachedPolicies", &members.collect::<String>()) + &leaf("IsTruncated", "false")
}

fn managed<'a>(invocation: &'a Invocation, arn: &str) -> Result<&'a Document, Failure> {
    invocation
        .world
        .managed
        .get(arn)
        .ok_or_else(|| no_such(format!("Policy {arn} does not exist or is not attachable.")))
}

fn required(invocation: &Invocation, name: &str) -> Result<String, Failure> {
    let value = invocation.parameters.get(name).filter(|value| !value.is_empty());
    value.map(str::to_owned).ok_or_else(|| {
        let (first, rest) = name.split_at(1);
        let member = first.to_lowercase() + rest;
        Failure::validation(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

fn no_policy(name: &str, kind: &str) -> Failure {
    no_such(format!("The {kind} policy with name {name} cannot be found."))
}

fn no_such(message: String) -> Failure {
    Failure::new(404, "NoSuchEntity", message)
}
