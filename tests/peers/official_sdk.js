// Sends a request for each documented use of the official Node SDK to the given address.
//
// Prints the name of each request after its response, in the order of the requests.

'use strict';

const mParticle = require('mparticle');

const NOW = 1767225600000;
const SESSION = '4e1c7d5a-09e4-4f3b-8a55-2a4b7f0d1c33';

// The users of the SDK set properties of constructed objects.
const set = Object.assign;

function batch(...events) {
  const created = new mParticle.Batch(mParticle.Batch.Environment.development);
  created.user_identities = set(new mParticle.UserIdentities(), { email: 'mira@shop.example' });
  events.forEach((event) => created.addEvent(event));
  return created;
}

const dataPlan = set(new mParticle.DataPlanContext(), { plan_id: 'shop_events', plan_version: 3 });
const user = set(batch(), {
  user_identities: set(new mParticle.UserIdentities(), {
    customerid: '123456',
    email: 'mira@shop.example',
    other_id_2: 'loyalty-77',
    mobile_number: '+4915112345678',
  }),
  user_attributes: { $firstname: 'Mira', seats: 5, newsletter: true, plans: ['free', 'pro'] },
  deleted_user_attributes: ['trial_ends'],
  ip: '203.0.113.7',
  mpid: 600868121729048600,
  mp_deviceid: '7f1b1e4a-2e5c-4b5c-9a41-4f3b0f5a7c11',
  context: set(new mParticle.BatchContext(), { data_plan: dataPlan }),
});

const device = set(batch(), {
  device_info: set(new mParticle.DeviceInformation(), {
    platform: 'iOS',
    os_version: '18.1',
    screen_height: 2556,
    timezone_offset: 1,
    is_tablet: false,
    ios_advertising_id: '07d2ebaa-e956-407e-a1e6-f05f871bf4e2',
    att_authorization_status: mParticle.DeviceInformation.ATTAuthorizationStatus.authorized,
    att_timestamp_unixtime_ms: NOW,
  }),
  application_info: set(new mParticle.ApplicationInformation(), {
    application_name: 'Shop',
    application_version: '4.2.0',
    package: 'example.shop',
  }),
});

const consentTo = (Kind, document) => new Kind(document, true, NOW, 'shop.example/signup', 'device-1');
const consent = set(batch(), {
  consent_state: set(new mParticle.ConsentState(), {
    gdpr: { analytics: consentTo(mParticle.GDPRConsentState, 'terms.v3') },
    ccpa: { data_sale_opt_out: consentTo(mParticle.CCPAConsentState, 'ccpa.v1') },
  }),
});

const customEvent = () => new mParticle.AppEvent(mParticle.AppEvent.CustomEventType.user_content, 'Added Note');
const custom = set(customEvent(), {
  timestamp_unixtime_ms: NOW,
  session_uuid: SESSION,
  custom_attributes: { length: '512' },
  custom_flags: { channel: 'web' },
  location: set(new mParticle.GeoLocation(52.52, 13.405), { accuracy: 25 }),
  device_current_state: set(new mParticle.DeviceCurrentState(), {
    battery_level: 0.5,
    gps_state: true,
    device_orientation: 'FaceUp',
  }),
});

const sessionStart = set(new mParticle.SessionStartEvent(), { session_id: 12345678, timestamp_unixtime_ms: NOW });
const sessionEnd = set(new mParticle.SessionEndEvent(10000), {
  session_id: 12345678,
  timestamp_unixtime_ms: NOW + 10000,
});

const tea = set(new mParticle.Product('TEA-12', 'Assam 250 g', 12.99, 25.98), { quantity: 2 });
const purchase = set(new mParticle.CommerceEvent(), {
  product_action: set(new mParticle.ProductAction('purchase', 'T-1', 25.98, [tea]), { tax_amount: 4.15 }),
  shopping_cart: set(new mParticle.ShoppingCart(), { products: [tea] }),
  currency_code: 'EUR',
});
const banner = new mParticle.Promotion('WINTER', 'Winter sale', 'tea', 'top');
const promotion = set(new mParticle.CommerceEvent(), {
  promotion_action: new mParticle.PromotionAction('view', [banner]),
});
const impressions = set(new mParticle.CommerceEvent(), {
  product_impressions: [new mParticle.ProductImpression('Search', [tea])],
});

const crash = () => new mParticle.CrashReportEvent('CartView', 'index out of range', 'CartView.total', false);
const breadcrumb = new mParticle.BreadcrumbEvent(3, 'Opened cart');

const SINGLE = {
  user,
  device,
  consent,
  'custom event': batch(custom),
  // From the usage example of the SDK.
  'custom event with a list of flags': batch(set(customEvent(), { custom_flags: { answer: 42, lists: ['a', 'b'] } })),
  session: batch(sessionStart, sessionEnd),
  'screen view': batch(set(new mParticle.ScreenViewEvent('Home'), { custom_flags: { channel: 'web' } })),
  purchase: batch(purchase),
  promotion: batch(promotion),
  impressions: batch(impressions),
  'crash report': batch(set(crash(), { severity: 'error' })),
  'crash report from the constructor': batch(crash()),
  'crash report with breadcrumbs': batch(set(crash(), { severity: 'error', breadcrumbs: [breadcrumb] })),
  breadcrumb: batch(breadcrumb),
  profile: batch(new mParticle.ProfileEvent('new', 'old', 'login')),
  'application state': batch(
    set(new mParticle.ApplicationStateTransitionEvent('application_initialized'), {
      is_first_run: true,
      is_upgrade: false,
    })
  ),
  'network performance': batch(
    new mParticle.NetworkPerformanceEvent('GET', 'https://api.shop.example/cart', 184, 5120, 310, 200)
  ),
  'opt out': batch(new mParticle.OptOutEvent(true)),
  'push registration': batch(new mParticle.PushRegistrationEvent(true, 'dGVzdA==')),
  'push message': batch(new mParticle.PushMessageEvent('dGVzdA==', 'received', '{}', 'background')),
  'first run': batch(set(new mParticle.FirstRunEvent(), { timestamp_unixtime_ms: NOW })),
};

const [url, key, secret] = process.argv.slice(2);
const client = new mParticle.ApiClient();
client.basePath = url;
const api = new mParticle.EventsApi(new mParticle.Configuration(key, secret), client);

const send = (upload, body) =>
  new Promise((resolve, reject) => upload(body, (error) => (error ? reject(error) : resolve())));

(async () => {
  for (const [name, body] of Object.entries(SINGLE)) {
    await send(api.uploadEvents.bind(api), body);
    console.log(name);
  }
  await send(api.bulkUploadEvents.bind(api), [SINGLE['custom event'], user]);
  console.log('bulk');
})();
