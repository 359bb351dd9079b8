//! The double's calls: which there are, and what may go wrong with them.
#![expect(
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "what a test cannot go on without fails it; the status is what the protocol gives"
)]

use super::{
    Fault, Moment, Prompt, Shared,
    log::Subscription,
    messages::{
        AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, ClusterInfo, Count, DeleteReq, DeleteResp, Endpoint, Member, ReadReq,
        ReadResp, SupportedMethods, Uuid,
    },
};
use futures::{
    StreamExt, TryStreamExt,
    future::{pending, ready},
    stream::{self, BoxStream},
};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{collections::HashMap, convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::sync::Notify;
use tonic::{Code, Request, Response, Status, Streaming, body::Body, codec::ProstCodec, metadata::MetadataMap, server::Grpc};
use tower::service_fn;

/// The largest message that is taken: one event of the largest size, and what goes with it.
const LARGEST: usize = 17 << 20;

/// One server of a cluster.
#[derive(Clone)]
pub struct Node {
    pub shared: Arc<Shared>,
    pub address: SocketAddr,
}

/// One connection to it.
#[derive(Clone)]
pub struct Connection {
    node: Node,
    broken: Arc<Notify>,
}

type Parts<T> = BoxStream<'static, Result<T, Status>>;

impl Connection {
    pub fn new(node: Node) -> Self {
        Self { node, broken: Arc::default() }
    }

    pub async fn serve(self, socket: Prompt) {
        let broken = Arc::clone(&self.broken);
        let calls = hyper::service::service_fn(move |request| self.clone().call(request));
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), calls);
        tokio::select! {
            // However it ends, the client sees it.
            _ = serving => {}
            () = broken.notified() => {}
        }
    }

    async fn call(self, request: tonic::codegen::http::Request<Incoming>) -> Result<tonic::codegen::http::Response<Body>, Infallible> {
        let path = request.uri().path().to_owned();
        Ok(match path.as_str() {
            "/event_store.client.server_features.ServerFeatures/GetSupportedMethods" => {
                let version = self.node.shared.version.to_owned();
                let answer = service_fn(move |_: Request<()>| {
                    let version = version.clone();
                    async move { Ok::<_, Status>(Response::new(SupportedMethods { version })) }
                });
                Grpc::new(ProstCodec::default()).unary(answer, request).await
            }
            "/event_store.client.gossip.Gossip/Read" => {
                let answer = service_fn(move |_: Request<()>| {
                    let members = self.node.members();
                    async move { Ok::<_, Status>(Response::new(ClusterInfo { members })) }
                });
                Grpc::new(ProstCodec::default()).unary(answer, request).await
            }
            "/event_store.client.streams.Streams/Append" => {
                let answer = service_fn(move |request| self.clone().append(request));
                Grpc::new(ProstCodec::default()).max_decoding_message_size(LARGEST).client_streaming(answer, request).await
            }
            "/event_store.client.streams.Streams/Read" => {
                let answer = service_fn(move |request| self.clone().read(request));
                Grpc::new(ProstCodec::default()).server_streaming(answer, request).await
            }
            "/event_store.client.streams.Streams/BatchAppend" => {
                let answer = service_fn(move |request| ready(self.clone().batch_append(request)));
                Grpc::new(ProstCodec::default()).max_decoding_message_size(LARGEST).streaming(answer, request).await
            }
            "/event_store.client.streams.Streams/Delete" => {
                let answer = service_fn(move |request| ready(self.clone().delete(&request, false)));
                Grpc::new(ProstCodec::default()).unary(answer, request).await
            }
            "/event_store.client.streams.Streams/Tombstone" => {
                let answer = service_fn(move |request| ready(self.clone().delete(&request, true)));
                Grpc::new(ProstCodec::default()).unary(answer, request).await
            }
            _ => Status::unimplemented("the double does not know this call").into_http(),
        })
    }

    async fn append(self, request: Request<Streaming<AppendReq>>) -> Result<Response<AppendResp>, Status> {
        let shared = Arc::clone(&self.node.shared);
        shared.count(|counts| counts.appends += 1);
        self.node.must_lead(request.metadata())?;
        let parts: Vec<AppendReq> = request.into_inner().try_collect().await?;
        let mut frozen = shared.frozen.subscribe();
        frozen.wait_for(|frozen| !frozen).await.unwrap();
        let fault = shared.appends.lock().unwrap().pop_front();
        self.suffer(fault.as_ref(), Moment::Before).await?;
        let answer = shared.log().append(parts)?;
        self.suffer(fault.as_ref(), Moment::After).await?;
        Ok(Response::new(answer))
    }

    /// Appends whose parts may be mixed, each answered when its last part has come.
    fn batch_append(self, request: Request<Streaming<BatchAppendReq>>) -> Result<Response<Parts<BatchAppendResp>>, Status> {
        self.node.must_lead(request.metadata())?;
        let mut begun: HashMap<uuid::Uuid, BatchAppendReq> = HashMap::new();
        let answers = request.into_inner().map_ok(move |part| {
            let id = part.correlation.as_ref().map(Uuid::id).unwrap_or_default();
            let whole = begun.entry(id).or_insert_with(|| BatchAppendReq { proposed: Vec::new(), ..part.clone() });
            whole.proposed.extend(part.proposed);
            let whole = part.is_final.then(|| begun.remove(&id)).flatten()?;
            let options = whole.options.clone()?;
            self.node.shared.count(|counts| counts.appends += 1);
            Some(self.node.shared.log().append_of_batch(&options, whole))
        });
        Ok(Response::new(answers.try_filter_map(|answer| async move { Ok(answer) }).boxed()))
    }

    fn delete(self, request: &Request<DeleteReq>, for_ever: bool) -> Result<Response<DeleteResp>, Status> {
        self.node.must_lead(request.metadata())?;
        self.node.shared.log().delete(request.get_ref(), for_ever).map(Response::new)
    }

    async fn read(self, request: Request<ReadReq>) -> Result<Response<Parts<ReadResp>>, Status> {
        let shared = Arc::clone(&self.node.shared);
        shared.count(|counts| counts.reads += 1);
        self.node.must_lead(request.metadata())?;
        let fault = shared.reads.lock().unwrap().pop_front();
        self.suffer(fault.as_ref(), Moment::Before).await?;
        let options = request.into_inner().options.ok_or_else(|| Status::invalid_argument("no options"))?;
        if matches!(options.count, Some(Count::Subscription(()))) {
            let subscription = shared.log().subscribe(&options)?;
            return Ok(Response::new(follow(shared, subscription)));
        }
        let read = shared.log().read(&options);
        let parts = read.inspect_err(|status| shared.count(|counts| counts.unknown += usize::from(status.code() == Code::Unknown)))?;
        self.suffer(fault.as_ref(), Moment::After).await?;
        Ok(Response::new(stream::iter(parts.into_iter().map(Ok).collect::<Vec<_>>()).boxed()))
    }

    /// Lets `fault` happen if its moment has come.
    async fn suffer(&self, fault: Option<&Fault>, now: Moment) -> Result<(), Status> {
        match fault {
            Some(Fault::Aborted(moment)) if *moment == now => Err(Status::aborted("Operation timed out")),
            Some(Fault::DeadlineExceeded(moment)) if *moment == now => Err(Status::deadline_exceeded("Deadline exceeded")),
            Some(Fault::Silence(moment)) if *moment == now => pending().await,
            Some(Fault::Disconnect(moment)) if *moment == now => {
                self.broken.notify_one();
                pending().await
            }
            Some(Fault::Unavailable) if now == Moment::Before => Err(Status::unavailable("Server Is Not Ready")),
            Some(Fault::NotLeader(leader)) if now == Moment::Before => Err(not_leader(*leader)),
            Some(Fault::Delay(time)) if now == Moment::Before => {
                tokio::time::sleep(*time).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Node {
    fn must_lead(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let asked = metadata.get("requires-leader").is_some_and(|value| value == "true");
        match *self.shared.leader.lock().unwrap() {
            Some(leader) if asked && leader != self.address => Err(not_leader(leader)),
            _ => Ok(()),
        }
    }

    fn members(&self) -> Vec<Member> {
        self.shared.count(|counts| counts.gossip += 1);
        let leader = self.shared.leader.lock().unwrap().unwrap_or(self.address);
        let member = |address: SocketAddr, state| Member {
            id: Some(Uuid::text(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, address.to_string().as_bytes()))),
            state,
            is_alive: true,
            endpoint: Some(Endpoint { address: address.ip().to_string(), port: address.port().into() }),
        };
        let mut members = vec![member(leader, 8)];
        if leader != self.address {
            members.push(member(self.address, 6));
        }
        members
    }
}

/// What a subscription is told, for as long as the client listens.
fn follow(shared: Arc<Shared>, subscription: Subscription) -> Parts<ReadResp> {
    let parts = stream::try_unfold((shared, subscription, true), async |(shared, mut subscription, first)| {
        if !first && !subscription.more().await {
            return Ok::<_, Status>(None);
        }
        let parts = subscription.next(&shared.log())?;
        Ok(Some((stream::iter(parts.into_iter().map(Ok)), (shared, subscription, false))))
    });
    parts.try_flatten().boxed()
}

fn not_leader(leader: SocketAddr) -> Status {
    let mut status = Status::new(Code::NotFound, "Leader info available");
    let metadata = status.metadata_mut();
    metadata.insert("exception", "not-leader".parse().unwrap());
    metadata.insert("leader-endpoint-host", leader.ip().to_string().parse().unwrap());
    metadata.insert("leader-endpoint-port", leader.port().to_string().parse().unwrap());
    status
}
